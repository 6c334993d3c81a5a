/**
 * Does the model know this input? Each {@link org.outrigger.detect.Detector} gives an input one
 * number; larger means more out-of-distribution.
 *
 * <ul>
 *   <li>From the logits alone, without fitting: {@link org.outrigger.detect.Msp}, {@link
 *       org.outrigger.detect.MaxLogit}, {@link org.outrigger.detect.Energy}, {@link
 *       org.outrigger.detect.Entropy}, {@link org.outrigger.detect.Gen}, {@link
 *       org.outrigger.detect.Mcm}; fitted on them: {@link org.outrigger.detect.KlMatching}, {@link
 *       org.outrigger.detect.OpenMax}.
 *   <li>How far a feature is from the known ones: {@link org.outrigger.detect.Mahalanobis}, {@link
 *       org.outrigger.detect.RelativeMahalanobis}, {@link org.outrigger.detect.Ssd}, {@link
 *       org.outrigger.detect.Knn}, {@link org.outrigger.detect.PtOod}, {@link
 *       org.outrigger.detect.She}, {@link org.outrigger.detect.Residual}.
 *   <li>Features and the linear head together: {@link org.outrigger.detect.Vim}, {@link
 *       org.outrigger.detect.NnGuide}, {@link org.outrigger.detect.GradNorm}, {@link
 *       org.outrigger.detect.Fdbd}, {@link org.outrigger.detect.Nci}; the energy of the head after
 *       its input or its weights were changed: {@link org.outrigger.detect.ReAct}, {@link
 *       org.outrigger.detect.Vra}, {@link org.outrigger.detect.Dice}, {@link
 *       org.outrigger.detect.AshP}, {@link org.outrigger.detect.AshB}, {@link
 *       org.outrigger.detect.AshS}, {@link org.outrigger.detect.Scale}.
 *   <li>Zero-shot models: {@link org.outrigger.detect.Mcm} reads cosines; {@link
 *       org.outrigger.detect.Clipn} asks a text tower that {@link
 *       org.outrigger.detect.ClipnTraining} taught to say no ({@link
 *       org.outrigger.detect.NegatedText}, {@link org.outrigger.detect.ClipnLoss}).
 *   <li>With the model at hand: {@link org.outrigger.detect.Odin} perturbs inputs, {@link
 *       org.outrigger.detect.Gram} reads inner layers.
 *   <li>With a last layer of its own, which it is trained with: {@link org.outrigger.detect.Abet}.
 *   <li>Several modalities: {@link org.outrigger.detect.ModalityDiscrepancy}; {@link
 *       org.outrigger.detect.MultiOod} trains for it, with outliers of {@link
 *       org.outrigger.detect.NpMix}, and {@link org.outrigger.detect.ModalityReport} compares them.
 *   <li>Several detectors as one: {@link org.outrigger.detect.RankEnsemble}.
 *   <li>Losses that prepare a network for detection: {@link org.outrigger.detect.OutlierExposure},
 *       {@link org.outrigger.detect.HardOutlierExposure}, {@link org.outrigger.detect.MixOe},
 *       {@link org.outrigger.detect.EnergyFineTuning}, {@link
 *       org.outrigger.detect.EntropicOpenSet}, {@link org.outrigger.detect.LogitNorm}, {@link
 *       org.outrigger.detect.Vos}, {@link org.outrigger.detect.Cider}, {@link
 *       org.outrigger.detect.Palm}.
 *   <li>Weights that adapt to new distributions: {@link org.outrigger.detect.Mol}, which learns
 *       them on {@link org.outrigger.detect.MetaTasks} with the mathematics of {@link
 *       org.outrigger.detect.MolGradient}.
 *   <li>How far a frozen backbone can be trusted: {@link org.outrigger.detect.LinearProbe}, {@link
 *       org.outrigger.detect.Separability}.
 * </ul>
 *
 * <p>{@link org.outrigger.detect.LogitDetector} and {@link org.outrigger.detect.FittedDetector} are
 * the shells that check input, keep what was {@linkplain org.outrigger.detect.Fitted learned}, save
 * and restore. Shared pieces: {@link org.outrigger.detect.ClassMoments} (means and covariances in
 * one pass), {@link org.outrigger.core.neighbour.NearestNeighbours} (exact, by blocks), {@link
 * org.outrigger.detect.Percentile} (exact, in fixed memory), {@link
 * org.outrigger.detect.HeadEnergy}, {@link org.outrigger.detect.Ash} (activation shaping). {@link
 * org.outrigger.detect.DetectMethods} lists the room.
 */
@NullMarked
package org.outrigger.detect;

import org.jspecify.annotations.NullMarked;
