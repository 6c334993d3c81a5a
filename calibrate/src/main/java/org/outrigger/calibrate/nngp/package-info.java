/**
 * Infinitely wide networks as processes over functions: exact regression and variational
 * classification with Gaussian, Student-t and other heavy tails. {@link
 * org.outrigger.calibrate.nngp.ScaleMixtureRegression} and {@link
 * org.outrigger.calibrate.nngp.ScaleMixtureClassification} are what users fit and ask. Below them:
 *
 * <ul>
 *   <li>{@link org.outrigger.calibrate.nngp.NngpKernel}: kernels of wide networks, differentiable;
 *       {@link org.outrigger.calibrate.nngp.KernelBlocks} computes large matrices of them piece by
 *       piece
 *   <li>{@link org.outrigger.calibrate.nngp.BlockedCholesky}, {@link
 *       org.outrigger.calibrate.nngp.ConjugateGradients}: solving
 *   <li>{@link org.outrigger.calibrate.nngp.ScaleMixture}: likelihoods of the processes; {@link
 *       org.outrigger.calibrate.nngp.MarginalLikelihood} and {@link
 *       org.outrigger.calibrate.nngp.MarginalFit} learn their hyper-parameters
 *   <li>{@link org.outrigger.calibrate.nngp.Svtp}: the variational family of the classifier
 *   <li>{@link org.outrigger.calibrate.nngp.FiniteNetworks}: networks of finite width with a drawn
 *       scale, to check the limit with
 * </ul>
 *
 * <p>Everything is float64.
 */
@NullMarked
package org.outrigger.calibrate.nngp;

import org.jspecify.annotations.NullMarked;
