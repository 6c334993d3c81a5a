(function () {
  'use strict';
  var root = document.documentElement;
  var options = JSON.parse(document.getElementById('options').textContent);
  var palettes = {
    light: ['#0b6e8f', '#d1603d', '#5a8f3c', '#8a5fb0', '#b8860b', '#3d6fd1', '#a83b6b', '#56707f'],
    dark: ['#5cc3e4', '#f0906c', '#9ccc72', '#c39be6', '#e6bd5a', '#86aaff', '#ea86b2', '#a9bcc8']
  };
  var charts = [];

  function colours(option, dark) {
    var soft = dark ? '#9aa8b5' : '#5b6876';
    var line = dark ? '#2b3742' : '#dfe4ea';
    var ink = dark ? '#e6ebf0' : '#17202b';
    var themed = JSON.parse(JSON.stringify(option));
    themed.color = dark ? palettes.dark : palettes.light;
    themed.backgroundColor = 'transparent';
    themed.animation = false;
    themed.textStyle = { fontFamily: 'system-ui, sans-serif', color: ink };
    ['xAxis', 'yAxis'].forEach(function (name) {
      var axis = themed[name];
      if (!axis) { return; }
      axis.nameTextStyle = Object.assign({ color: soft }, axis.nameTextStyle);
      axis.axisLabel = Object.assign({ color: soft, hideOverlap: true }, axis.axisLabel);
      axis.axisLine = { lineStyle: { color: line } };
      axis.splitLine = { lineStyle: { color: line } };
    });
    themed.legend = Object.assign({ top: 0, right: 0, type: 'scroll', textStyle: { color: soft } }, themed.legend);
    if (themed.legend.show && themed.yAxis) { themed.grid = Object.assign({}, themed.grid, { top: 62 }); }
    themed.tooltip = Object.assign({
      backgroundColor: dark ? '#202b36' : '#ffffff', borderColor: line, textStyle: { color: ink, fontSize: 12 },
      confine: true
    }, themed.tooltip);
    if (themed.visualMap) {
      themed.visualMap.textStyle = { color: soft };
      themed.visualMap.inRange = { color: dark ? ['#5cc3e4', '#1c2630', '#f0906c'] : ['#0b6e8f', '#f4f6f8', '#d1603d'] };
    }
    (themed.series || []).forEach(function (series) {
      if (series.label) { series.label.color = soft; }
      if (series.colour !== undefined) {
        var colour = series.colour < 0 ? soft : themed.color[series.colour % themed.color.length];
        series.itemStyle = Object.assign({ color: colour }, series.itemStyle);
        series.lineStyle = Object.assign({ color: colour }, series.lineStyle);
      }
      if (series.markLine) {
        series.markLine.lineStyle = { color: ink, type: 'dashed' };
        series.markLine.label.color = soft;
      }
    });
    return themed;
  }

  function draw() {
    var dark = root.dataset.theme === 'dark';
    charts.forEach(function (chart) { chart.dispose(); });
    charts = Array.prototype.map.call(document.querySelectorAll('[data-chart]'), function (box) {
      var chart = echarts.init(box, null, { renderer: 'svg' });
      chart.setOption(colours(options[Number(box.dataset.chart)], dark));
      return chart;
    });
  }

  var preference = window.matchMedia('(prefers-color-scheme: dark)');
  function set(theme) { root.dataset.theme = theme; draw(); }
  document.getElementById('theme').addEventListener('click', function () {
    set(root.dataset.theme === 'dark' ? 'light' : 'dark');
  });
  preference.addEventListener('change', function (event) { set(event.matches ? 'dark' : 'light'); });
  window.addEventListener('resize', function () { charts.forEach(function (chart) { chart.resize(); }); });
  set(preference.matches ? 'dark' : 'light');
}());
