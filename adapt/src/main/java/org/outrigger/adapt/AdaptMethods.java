package org.outrigger.adapt;

import java.util.List;
import org.outrigger.adapt.ear.Ear;
import org.outrigger.adapt.edge.Cema;
import org.outrigger.adapt.edge.UVpa;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class AdaptMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        AdaNpc.class,
        AlphaBn.class,
        BatchNormAdaptation.class,
        Cafa.class,
        Cema.class,
        Cotta.class,
        Delta.class,
        DeltaTbr.class,
        Ear.class,
        Eata.class,
        EmaBn.class,
        Episodic.class,
        FewShotSfda.class,
        Ktf.class,
        LabelShiftAdapter.class,
        Lame.class,
        Memo.class,
        Note.class,
        OpenSetTta.class,
        PeriodicReset.class,
        PriorCorrection.class,
        PseudoLabel.class,
        Roid.class,
        Rotta.class,
        SafetyNet.class,
        Sar.class,
        Shot.class,
        ShotIm.class,
        Source.class,
        T3a.class,
        Tent.class,
        UnMixTns.class,
        UVpa.class);
  }
}
