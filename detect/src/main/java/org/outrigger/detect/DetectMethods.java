package org.outrigger.detect;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class DetectMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        // Training.
        OutlierExposure.class,
        HardOutlierExposure.class,
        MixOe.class,
        Mol.class,
        EnergyFineTuning.class,
        EntropicOpenSet.class,
        LogitNorm.class,
        Vos.class,
        Cider.class,
        // The model with its inputs.
        Odin.class,
        // Class statistics of logits or features.
        KlMatching.class,
        OpenMax.class,
        Nci.class,
        Vra.class,
        WeightedEnergy.class,
        Gram.class,
        // Detectors made of detectors.
        RankEnsemble.class,
        // Logits alone.
        Msp.class,
        MaxLogit.class,
        Energy.class,
        Entropy.class,
        Gen.class,
        Mcm.class,
        // Features.
        Mahalanobis.class,
        RelativeMahalanobis.class,
        Knn.class,
        She.class,
        // Features and the linear head.
        Residual.class,
        Vim.class,
        NnGuide.class,
        ReAct.class,
        Dice.class,
        AshP.class,
        AshB.class,
        AshS.class,
        Scale.class,
        GradNorm.class,
        Fdbd.class,
        PtOod.class);
  }
}
