package org.outrigger.guard;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.detect.Detector;

/**
 * The labels of validation data, and whether a guard can be fitted with them.
 *
 * @param all what the model made of the data
 */
record ValidationLabels(Model model, Dataset validation, RecordedOutputs all) {
  /**
   * Says what the labels lack for these methods.
   *
   * @param calibrator that was asked for; null if none was
   */
  void check(
      List<Detector> detectors,
      @Nullable Calibrator calibrator,
      @Nullable ConformalPredictor labelSets) {
    Tensor labels = all.labels();
    if (labels == null) {
      for (Detector detector : detectors) {
        if (detector.needs().contains(Need.LABELS)) {
          throw new OutriggerException(
              detector.card().name()
                  + " needs class labels, but "
                  + validation.name()
                  + " has none: use one folder a class, name a label column, or choose a detector"
                  + " that needs none.");
        }
      }
      if (labelSets != null) {
        throw new OutriggerException(
            labelSets.card().name()
                + " needs class labels, but "
                + validation.name()
                + " has none: use labelled data, or no label sets.");
      }
      if (calibrator != null) {
        throw new OutriggerException(
            calibrator.card().name()
                + " needs class labels, but "
                + validation.name()
                + " has none: use labelled data, or no calibrator.");
      }
      return;
    }
    try (PointerScope scope = new PointerScope()) {
      long most = labels.max().item_long();
      if (most >= all.classes()) {
        throw new OutriggerException(
            validation.name()
                + " has labels up to "
                + most
                + ", but the model "
                + model.name()
                + " has only "
                + all.classes()
                + " classes.");
      }
      long known = labels.ge(new Scalar(0)).sum().item_long();
      if (known == 0 || labels.min().item_long() == most) {
        throw new OutriggerException(
            "All rows of "
                + validation.name()
                + " have the same label ("
                + (most < 0 ? "unknown" : classNames(validation, all.classes()).get((int) most))
                + "): a guard is fitted on data of at least two classes.");
      }
    }
  }

  static List<String> classNames(Dataset data, int classes) {
    List<String> names = new ArrayList<>(data.classNames());
    for (int c = names.size(); c < classes; c++) {
      names.add(Integer.toString(c));
    }
    return names.subList(0, classes);
  }
}
