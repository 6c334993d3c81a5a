package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.stream.memory.Correction;
import org.outrigger.stream.memory.Neighbours;
import org.outrigger.stream.memory.ReLoop2;
import org.outrigger.stream.memory.SampleMemory;
import org.outrigger.stream.memory.SketchMemory;

/** Golden cases of ReLoop2: what the sketch and the sample memory hold and how they correct. */
public final class ReLoop2Golden implements GoldenSuite {
  @Override
  public String slug() {
    return "reloop2";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("projections") && golden.hasInput("keys")) {
      sketch(golden);
    } else if (golden.hasInput("memory_keys")) {
      samples(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void sketch(GoldenCase golden) {
    Tensor projections = golden.input("projections");
    Tensor keys = golden.input("keys");
    Tensor query = golden.input("query");
    int capacity = (int) Math.max(1, keys.size(0));
    try (SketchMemory memory = new SketchMemory(projections, capacity)) {
      if (keys.size(0) > 0) {
        memory.write(keys, golden.input("labels"), golden.input("base"));
      }
      for (String output : golden.outputs()) {
        switch (output) {
          case "key_bucket" -> golden.expect(output, SketchMemory.buckets(keys, projections));
          case "query_bucket" -> golden.expect(output, SketchMemory.buckets(query, projections));
          case "count" -> golden.expect(output, memory.table("count"));
          case "sum_y" -> golden.expect(output, memory.table("sum_labels"));
          case "sum_base" -> golden.expect(output, memory.table("sum_base"));
          default -> {}
        }
      }
      correction(golden, memory.read(query));
    }
  }

  private static void samples(GoldenCase golden) {
    Tensor keys = golden.input("memory_keys");
    Tensor[] nearest = SampleMemory.nearest(keys, golden.input("query"), (int) golden.param("k"));
    if (golden.hasOutput("index")) {
      golden.expect("index", nearest[0]);
    }
    if (golden.hasOutput("similarity")) {
      golden.expect("similarity", nearest[1]);
    }
    try (SampleMemory memory =
        new SampleMemory((int) golden.param("k"), (int) keys.size(0), keys.size(1))) {
      memory.write(keys, golden.input("memory_labels"), golden.input("memory_base"));
      correction(golden, memory.read(golden.input("query")));
    }
  }

  private static void correction(GoldenCase golden, Neighbours near) {
    Correction made =
        ReLoop2.compensate(
            near,
            golden.input("query_base"),
            golden.param("tau"),
            golden.param("gamma"),
            golden.param("lam"));
    for (String output : golden.outputs()) {
      switch (output) {
        case "attention" -> golden.expect(output, made.attention());
        case "y_bar" -> golden.expect(output, made.labels());
        case "y_base_bar" -> golden.expect(output, made.base());
        case "y_err" -> golden.expect(output, made.errors());
        case "y_pred" -> golden.expect(output, made.probabilities());
        default -> {}
      }
    }
  }
}
