/**
 * Report pages: one self-contained HTML file with figures, tables, charts and pictures that works
 * offline, in light and dark. {@link org.outrigger.evaluate.report.ReportPage} collects the parts,
 * {@link org.outrigger.evaluate.report.Chart} makes charts from numbers, {@link
 * org.outrigger.evaluate.report.Pictures} makes pictures from tensors.
 */
@NullMarked
package org.outrigger.evaluate.report;

import org.jspecify.annotations.NullMarked;
