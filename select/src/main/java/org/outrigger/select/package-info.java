/**
 * Which model, which data, how big? Scores rank candidate models for a labelled target set without
 * training them; data selection chooses what to train on; scaling laws say what size buys.
 *
 * <p>A {@link org.outrigger.select.ModelScore} looks at a {@link org.outrigger.select.Candidate},
 * and a {@link org.outrigger.select.ModelRanking} collects several scores of several candidates:
 *
 * <ul>
 *   <li>the model's own classes: {@link org.outrigger.select.Leep}, {@link
 *       org.outrigger.select.Nce}; clusters in their place: {@link org.outrigger.select.Nleep}
 *   <li>linear models on the features: {@link org.outrigger.select.LogMe}, {@link
 *       org.outrigger.select.HScore}, {@link org.outrigger.select.RegularisedHScore}, {@link
 *       org.outrigger.select.Sfda}
 *   <li>where classes lie in feature space: {@link org.outrigger.select.Gbc}, {@link
 *       org.outrigger.select.TransRate}, {@link org.outrigger.select.Parc}, {@link
 *       org.outrigger.select.Tmi}
 *   <li>plain measurements beside them: {@link org.outrigger.select.KnnAccuracy}, {@link
 *       org.outrigger.select.ProbeAccuracy}
 * </ul>
 *
 * <p>Data are chosen in {@link org.outrigger.select.data}; what size buys is measured in {@link
 * org.outrigger.select.scaling}.
 */
@NullMarked
package org.outrigger.select;

import org.jspecify.annotations.NullMarked;
