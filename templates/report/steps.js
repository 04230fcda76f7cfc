(function () {
  "use strict";
  var figure = document.getElementById("network");
  var data = JSON.parse(document.getElementById("network-data").textContent);
  var nodes = figure.querySelectorAll("circle.node");
  var edges = figure.querySelectorAll("path[data-from]");
  var slider = document.getElementById("network-step");
  var button = document.getElementById("network-play");
  var timer = null;
  function show(index) {
    var step = data.steps[index];
    document.getElementById("network-at").textContent = step.at;
    nodes.forEach(function (node, i) {
      node.setAttribute("class", step.a[i] < 0 ? "node down" : "node up");
      node.style.fillOpacity = Math.abs(step.a[i]) / 100;
    });
    edges.forEach(function (edge) {
      var active = Math.abs(step.a[edge.dataset.from]) / 100;
      edge.style.strokeOpacity = 0.05 + 0.9 * edge.dataset.share * active;
    });
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  slider.addEventListener("input", function () { show(+slider.value); });
  button.addEventListener("click", function () {
    if (timer) { stop(); return; }
    button.textContent = "Pause";
    timer = setInterval(function () {
      var next = (+slider.value + 1) % data.steps.length;
      slider.value = next;
      show(next);
    }, 250);
  });
  figure.querySelector(".controls").hidden = false;
  show(data.first);
})();
