/**
 * Data with no download. Embedded real data: {@link org.outrigger.datasets.Mnist}, {@link
 * org.outrigger.datasets.FashionMnist}, {@link org.outrigger.datasets.Digits}, {@link
 * org.outrigger.datasets.Wine}, {@link org.outrigger.datasets.BreastCancer}, {@link
 * org.outrigger.datasets.Iris}, {@link org.outrigger.datasets.Diabetes}. Generated: {@link
 * org.outrigger.datasets.Points}, {@link org.outrigger.datasets.Tabular} with chosen shifts, {@link
 * org.outrigger.datasets.UnknownImages}, {@link org.outrigger.datasets.DriftingClicks}, {@link
 * org.outrigger.datasets.LinkLoads}, {@link org.outrigger.datasets.NetworkTraffic}. {@link
 * org.outrigger.datasets.DatasetCatalogue} lists them all, with well-known public data sets that
 * load from a folder the user fills.
 */
@NullMarked
package org.outrigger.datasets;

import org.jspecify.annotations.NullMarked;
