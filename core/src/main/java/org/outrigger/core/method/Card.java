package org.outrigger.core.method;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** A method's card: what it is, where it comes from, what it needs and what it keeps. */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.TYPE)
public @interface Card {
  /** The short name used on command lines and in files: lower case, digits and hyphens. */
  String slug();

  /** The name as the field writes it. */
  String name();

  /** One sentence that a user chooses by. */
  String summary();

  /** Authors, title and venue. */
  String paper();

  int year();

  Room room();

  Need[] needs();

  /** What it keeps after fitting, in a few words; empty if nothing. */
  String state() default "";
}
