package org.outrigger.claims;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackages;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noFields;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;
import org.outrigger.core.method.Room;

/** The rules of the house, for every module that this one sees. */
class HouseTest {
  private static final String HOUSE = "org.outrigger..";
  private static final String CORE = "org.outrigger.core..";

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("org.outrigger");

  /** Method rooms, and the modules that like them stand on core alone. */
  static Stream<String> rooms() {
    return Stream.concat(
        Arrays.stream(Room.values()).map(room -> room.name().toLowerCase(Locale.ROOT)),
        Stream.of("datasets", "onnx", "text"));
  }

  static List<Class<?>> methods() {
    return CLASSES.stream()
        .filter(type -> type.isAnnotatedWith(Card.class))
        .<Class<?>>map(JavaClass::reflect)
        .toList();
  }

  @Test
  void theBuiltModulesAreSeen() {
    for (String module :
        List.of(
            "core",
            "onnx",
            "text",
            "datasets",
            "detect",
            "adapt",
            "calibrate",
            "select",
            "stream",
            "evaluate",
            "guard",
            "client",
            "claims")) {
      assertThat(CLASSES.that(resideInAPackage("org.outrigger." + module + ".."))).isNotEmpty();
    }
    assertThat(methods()).hasSizeGreaterThan(25);
  }

  @ParameterizedTest
  @MethodSource("rooms")
  void aRoomDependsOnCoreAlone(String room) {
    String own = "org.outrigger." + room + "..";
    noClasses()
        .that()
        .resideInAPackage(own)
        .should()
        .dependOnClassesThat(resideInAPackage(HOUSE).and(resideOutsideOfPackages(CORE, own)))
        .allowEmptyShould(true)
        .check(CLASSES);
  }

  @Test
  void coreDependsOnNoRoom() {
    noClasses()
        .that()
        .resideInAPackage(CORE)
        .should()
        .dependOnClassesThat(resideInAPackage(HOUSE).and(resideOutsideOfPackages(CORE)))
        .check(CLASSES);
  }

  @Test
  void theGuardKnowsNeitherClaimsNorCommands() {
    noClasses()
        .that()
        .resideInAPackage("org.outrigger.guard..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("org.outrigger.claims..", "org.outrigger.cli..")
        .check(CLASSES);
  }

  @Test
  void theClientLoadsNoNativeCodeAndKnowsNoOtherModule() {
    String own = "org.outrigger.client..";
    noClasses()
        .that()
        .resideInAPackage(own)
        .should()
        .dependOnClassesThat(
            resideInAPackage("org.bytedeco..")
                .or(resideInAPackage(HOUSE).and(resideOutsideOfPackages(own))))
        .check(CLASSES);
  }

  @ParameterizedTest
  @MethodSource("methods")
  void aClassWithACardIsAMethodAsTheHouseBuildsThem(Class<?> type) throws Exception {
    assertThat(Method.class).isAssignableFrom(type);
    assertThat(Modifier.isFinal(type.getModifiers())).as("final").isTrue();
    assertThat(Modifier.isPublic(type.getModifiers())).as("public").isTrue();
    Class<?> settings = Class.forName(type.getName() + "$Settings");
    assertThat(settings.isRecord()).isTrue();
    java.lang.reflect.Method defaults = settings.getMethod("defaults");
    assertThat(Modifier.isStatic(defaults.getModifiers())).isTrue();
    assertThat(defaults.invoke(null)).isInstanceOf(settings);
    assertThat(type.getConstructor().newInstance())
        .extracting(method -> ((Method) method).settings())
        .isEqualTo(defaults.invoke(null));
    assertThat(type.getConstructor(settings)).isNotNull();
  }

  @ParameterizedTest
  @MethodSource("methods")
  void aCardSaysWhereTheMethodIs(Class<?> type) {
    Card card = type.getAnnotation(Card.class);
    assertThat(card.slug()).matches("[a-z0-9]+(-[a-z0-9]+)*");
    assertThat(type.getPackageName())
        .startsWith("org.outrigger." + card.room().name().toLowerCase(Locale.ROOT));
    assertThat(card.year()).isBetween(1700, 2100);
    assertThat(card.summary()).endsWith(".");
    assertThat(card.paper()).isNotBlank();
  }

  @Test
  void everyRoomListsItsMethodsAndNothingElse() {
    Set<Class<?>> listed =
        ServiceLoader.load(MethodProvider.class).stream()
            .map(ServiceLoader.Provider::get)
            .peek(
                provider ->
                    assertThat(provider.methods())
                        .allSatisfy(
                            type ->
                                assertThat(type.getPackageName())
                                    .startsWith(provider.getClass().getPackageName())))
            .flatMap(provider -> provider.methods().stream())
            .collect(Collectors.toSet());
    assertThat(listed).containsExactlyInAnyOrderElementsOf(methods());
  }

  @Test
  void noClassIsADumpingGround() {
    noClasses()
        .should()
        .haveNameMatching(".*(Util|Utils|Utility|Utilities|Helper|Helpers)")
        .check(CLASSES);
  }

  @Test
  void everyPackageIsNullMarked() {
    Set<String> packages =
        CLASSES.stream().map(JavaClass::getPackageName).collect(Collectors.toSet());
    assertThat(packages)
        .allSatisfy(
            name ->
                assertThat(
                        Class.forName(name + ".package-info").isAnnotationPresent(NullMarked.class))
                    .as(name)
                    .isTrue());
  }

  @Test
  void onlyCommandsPrint() {
    noClasses()
        .that()
        .resideOutsideOfPackage("org.outrigger.cli..")
        .should()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .check(CLASSES);
  }

  @Test
  void nothingIsSavedByJavaSerialisation() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .belongToAnyOf(ObjectInputStream.class, ObjectOutputStream.class)
        .check(CLASSES);
    classes().should().notImplement(directly(Serializable.class)).check(CLASSES.that(notEnums()));
  }

  private static DescribedPredicate<JavaClass> directly(Class<?> type) {
    return DescribedPredicate.describe(
        type.getSimpleName() + " by its own word", known -> known.getName().equals(type.getName()));
  }

  /** Enums and exceptions inherit it. */
  private static DescribedPredicate<JavaClass> notEnums() {
    return DescribedPredicate.describe(
        "no enum or exception",
        type ->
            !type.isEnum()
                && !type.isAssignableTo(Enum.class)
                && !type.isAssignableTo(Throwable.class));
  }

  @Test
  void randomnessIsSeeded() {
    noClasses()
        .should()
        .dependOnClassesThat()
        .belongToAnyOf(Random.class, ThreadLocalRandom.class)
        .orShould()
        .callMethod(Math.class, "random")
        .orShould()
        .callMethod(Collections.class, "shuffle", List.class)
        .check(CLASSES);
  }

  @Test
  void noTensorIsKeptInAStaticField() {
    noFields()
        .that()
        .areStatic()
        .should(
            com.tngtech.archunit.lang.ArchCondition.from(
                DescribedPredicate.describe(
                    "hold tensors",
                    (JavaField field) ->
                        field.getModifiers().contains(JavaModifier.STATIC)
                            && field.getAllInvolvedRawTypes().stream()
                                .anyMatch(type -> type.isAssignableTo(Tensor.class)))))
        .check(CLASSES);
  }
}
