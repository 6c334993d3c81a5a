/**
 * Which data? What is worth training on, and what a data set is good for.
 *
 * <ul>
 *   <li>{@link org.outrigger.select.data.AdaptInfinity} selects anew at every step of a lifelong
 *       run: {@link org.outrigger.select.data.GradientVectors} (with a {@link
 *       org.outrigger.select.data.RademacherProjection}) are clustered by {@link
 *       org.outrigger.select.data.MiniBatchKMeans}; {@link org.outrigger.select.data.ScoreChoice}
 *       picks one of the {@link org.outrigger.select.data.SampleScore}s (mathematics in {@link
 *       org.outrigger.select.data.TokenScores}) in each cluster, {@link
 *       org.outrigger.select.data.ClusterBudgets} says how many it gives, {@link
 *       org.outrigger.select.data.CoverageSampling} which, and {@link
 *       org.outrigger.select.data.SemanticDuplicates} what the pool loses for good. {@link
 *       org.outrigger.select.data.LifelongSelection} is the run, over a {@link
 *       org.outrigger.select.data.DataPool} that is saved and continued exactly.
 *   <li>{@link org.outrigger.select.data.Qdc} measures quality, diversity and complexity of what
 *       {@link org.outrigger.select.data.QdcData} holds and gives a {@link
 *       org.outrigger.select.data.QdcReport}. The measures: {@link
 *       org.outrigger.select.data.QualityMeasures}, {@link
 *       org.outrigger.select.data.LabelAgreement}, {@link org.outrigger.select.data.TextMeasures},
 *       {@link org.outrigger.select.data.SelfBleu}, {@link
 *       org.outrigger.select.data.EmbeddingDiversity}, {@link org.outrigger.select.data.Vendi},
 *       {@link org.outrigger.select.data.AttributeMeasures}, {@link
 *       org.outrigger.select.data.ReferenceCoverage}, {@link
 *       org.outrigger.select.data.ComplexityMeasures}.
 *   <li>With these measures: {@link org.outrigger.select.data.DataChoice} (score then filter,
 *       greedy balance), {@link org.outrigger.select.data.TradeOffs} (frontier, Pareto front,
 *       hypervolume), {@link org.outrigger.select.data.PipelineReport} (what each stage of a
 *       pipeline did).
 * </ul>
 */
@NullMarked
package org.outrigger.select.data;

import org.jspecify.annotations.NullMarked;
