package org.outrigger.claims.stream;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.stream.Bbse;
import org.outrigger.stream.DriftDetector;
import org.outrigger.stream.DriftLevel;
import org.outrigger.stream.DriftTest;

/** Delays and false alarms of stream detectors, level and power of two-sample tests. */
public final class DriftBaselines implements Claim {
  private static final int CHANGE = 1000;
  private static final Map<String, String> DETECTORS = new LinkedHashMap<>();
  private static final Map<String, String> TESTS = new LinkedHashMap<>();

  /** Beside the statement. */
  private static final String ONE_SPLIT = "C2ST, one split,";

  private static final double[] PRIOR = {0.4, 0.1, 0.25, 0.05, 0.2};

  static {
    DETECTORS.put("DDM", "ddm");
    DETECTORS.put("EDDM", "eddm");
    DETECTORS.put("HDDM-A", "hddm-a");
    DETECTORS.put("HDDM-W", "hddm-w");
    DETECTORS.put("ADWIN", "adwin");
    DETECTORS.put("Page-Hinkley 20 up", "page-hinkley:threshold=20:mode=up");
    DETECTORS.put("CUSUM 5", "cusum");
    TESTS.put("MMD", "mmd-test");
    TESTS.put("LSDD", "lsdd");
    TESTS.put("C2ST", "c2st");
    TESTS.put("KS", "ks-test");
    TESTS.put(ONE_SPLIT, "c2st:folds=1");
  }

  @Override
  public String slug() {
    return "drift-baselines";
  }

  @Override
  public Room room() {
    return Room.STREAM;
  }

  @Override
  public String title() {
    return "Drift detectors trade delay for false alarms, tests keep their level";
  }

  @Override
  public String promise() {
    return "Detectors with a guarantee raise few false alarms and those for gradual change are the"
        + " quicker of them; two-sample tests reject as often as their level says where nothing"
        + " changed, and more often the larger the change.";
  }

  @Override
  public String paper() {
    return "Gama et al. 2004; Baena-García et al. 2006; Bifet, Gavaldà 2007; Frías-Blanco et al. 2015;"
        + " Gretton et al. 2012; Lopez-Paz, Oquab 2017; Lipton et al. 2018";
  }

  @Override
  public List<Inequality> statement() {
    List<Inequality> all = new ArrayList<>();
    all.add(Inequality.below("HDDM-W delay", 1, "HDDM-A delay"));
    all.add(Inequality.below("HDDM-A delay", 1, "DDM delay"));
    for (String quiet : List.of("ADWIN", "HDDM-A", "HDDM-W")) {
      all.add(Inequality.below(quiet + " false alarms", 0.2));
    }
    all.add(Inequality.above("EDDM false alarms", "DDM false alarms"));
    all.add(Inequality.above("CUSUM 5 false alarms", "DDM false alarms"));
    // 99 % of Binomial(200, 0.05) lie from 3 to 19.
    for (String test : List.of("MMD", "LSDD", "C2ST")) {
      all.add(Inequality.atLeast(test + " rejects at 0", 0.015));
      all.add(Inequality.below(test + " rejects at 0", 0.0951));
    }
    all.add(Inequality.below("KS rejects at 0", 0.0951));
    for (String test : TESTS.keySet()) {
      if (test.equals(ONE_SPLIT)) {
        continue;
      }
      all.add(Inequality.above(test + " rejects at 0.5", test + " rejects at 0"));
      all.add(Inequality.above(test + " rejects at 1", test + " rejects at 0.5"));
    }
    all.add(Inequality.below("BBSE error", 0.05));
    return all;
  }

  @Override
  public List<String> baselines() {
    return List.of("each detector and test against the others, all with their usual settings");
  }

  @Override
  public String protocol() {
    return "60 streams of 2,000 errors whose rate goes from 0.2 to 0.4 at 1,000: false alarms before"
        + " it for each 1,000 values, the median delay after it with missed ones at full length, and"
        + " how many were missed. Two samples of 40 x 3 normal values, one coordinate of the second"
        + " moved by 0, 0.5 and 1 standard deviations, 200 draws each at level 0.05. BBSE with"
        + " 5,000 rows each, 5 classes, a model that is right in 80 of 100.";
  }

  @Override
  public String tried() {
    return "The classifier test with 5 folds, its default, rejects more often without a shift than the"
        + " binomial band allows; all other inequalities hold, as they did in the first run, of"
        + " seed 0. Rows of different folds are not independent, as its law wants. The test of a"
        + " single split (folds=1) was added afterwards and is shown beside it, outside of the"
        + " statement.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    DETECTORS.forEach((name, text) -> streams(name, text, seed, scale, figures));
    for (Map.Entry<String, String> test : TESTS.entrySet()) {
      for (double shift : new double[] {0, 0.5, 1}) {
        String name = test.getKey() + " rejects at " + (shift == 0.5 ? "0.5" : "" + (int) shift);
        figures.put(name, rejections(test.getValue(), shift, seed, scale.pick(200, 4)));
      }
    }
    figures.put("BBSE error", labelShift(seed, scale.pick(5000, 200)));
    return figures;
  }

  private static void streams(
      String name, String text, long seed, Scale scale, Map<String, Double> figures) {
    int streams = scale.pick(60, 3);
    double alarms = 0;
    double missed = 0;
    double[] delays = new double[streams];
    for (int s = 0; s < streams; s++) {
      SplittableRandom random = new SplittableRandom(Rng.derive(seed, "stream " + s));
      DriftDetector detector = Methods.parseOne(DriftDetector.class, text);
      delays[s] = CHANGE;
      for (int t = 0; t < 2 * CHANGE; t++) {
        double error = random.nextDouble() < (t < CHANGE ? 0.2 : 0.4) ? 1 : 0;
        if (detector.update(error) == DriftLevel.DRIFT) {
          if (t >= CHANGE) {
            delays[s] = t - CHANGE;
            break;
          }
          alarms++;
        }
      }
      missed += delays[s] == CHANGE ? 1 : 0;
    }
    Arrays.sort(delays);
    figures.put(name + " false alarms", alarms / streams);
    figures.put(name + " delay", (delays[(streams - 1) / 2] + delays[streams / 2]) / 2);
    figures.put(name + " missed", missed);
  }

  private static double rejections(String text, double shift, long seed, int draws) {
    int rejected = 0;
    for (int i = 0; i < draws; i++) {
      String purpose = "draw " + i;
      boolean drift =
          Scopes.scoped(
              () -> {
                try (DriftTest test = Methods.parseOne(DriftTest.class, text);
                    Rng rng = Rng.named(seed, purpose)) {
                  test.fit(rng.normal(ScalarType.Double, 40, 3));
                  Tensor batch = rng.normal(ScalarType.Double, 40, 3);
                  batch.select(1, 0).add_(new Scalar(shift));
                  return test.test(batch).drift();
                }
              });
      rejected += drift ? 1 : 0;
    }
    return rejected / (double) draws;
  }

  private static double labelShift(long seed, int rows) {
    return Scopes.scoped(
        () -> {
          SplittableRandom random = new SplittableRandom(Rng.derive(seed, "label shift"));
          int classes = PRIOR.length;
          double[] even = new double[classes];
          Arrays.fill(even, 1.0 / classes);
          int[] labels = new int[rows];
          double[][] source = predictions(even, labels, random);
          double[][] target = predictions(PRIOR, new int[rows], random);
          Bbse bbse = new Bbse();
          bbse.fit(Tensors.of(source), Tensors.labels(labels));
          double[] estimate = bbse.estimate(Tensors.of(target)).prior();
          double worst = 0;
          for (int c = 0; c < classes; c++) {
            worst = Math.max(worst, Math.abs(estimate[c] - PRIOR[c]));
          }
          return worst;
        });
  }

  /** Probabilities of a model that is right in 80 of 100 rows; fills in the labels. */
  private static double[][] predictions(double[] prior, int[] labels, SplittableRandom random) {
    int classes = prior.length;
    double[][] rows = new double[labels.length][classes];
    for (int i = 0; i < labels.length; i++) {
      double u = random.nextDouble();
      int label = 0;
      while (label < classes - 1 && u >= prior[label]) {
        u -= prior[label++];
      }
      labels[i] = label;
      boolean right = random.nextDouble() < 0.8;
      int guess = right ? label : (label + 1 + random.nextInt(classes - 1)) % classes;
      Arrays.fill(rows[i], 0.2 / (classes - 1));
      rows[i][guess] = 0.8;
    }
    return rows;
  }
}
