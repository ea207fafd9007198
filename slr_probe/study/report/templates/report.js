(function () {
  "use strict";
  var box = document.getElementById("tip"), lit = [], current = new Map();

  // Titles become our own tooltips; without scripts the browser shows them itself.
  document.querySelectorAll("svg.plot title").forEach(function (title) {
    var mark = title.parentNode;
    mark.setAttribute("data-tip", title.textContent);
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", title.textContent);
    title.remove();
  });

  function centre(mark) {
    var r = mark.getBoundingClientRect();
    return [r.left + r.width / 2, r.top + r.height / 2];
  }

  function clear() {
    lit.forEach(function (mark) { mark.classList.remove("lit"); });
    lit = [];
    box.hidden = true;
    document.querySelectorAll(".ghost.on").forEach(function (g) { g.classList.remove("on"); });
  }

  function light(mark) {
    mark.classList.add("lit");
    lit.push(mark);
  }

  function outline(range) {
    var ends = range.split(":").map(Number);
    document.querySelectorAll(".ghost").forEach(function (ghost) {
      var left = Number(ghost.dataset.left), step = Number(ghost.dataset.step);
      ghost.setAttribute("x", left + ends[0] * step);
      ghost.setAttribute("width", (ends[1] - ends[0]) * step);
      ghost.classList.add("on");
    });
  }

  function show(mark, at) {
    clear();
    light(mark);
    var range = mark.dataset.range;
    if (range) {
      document.querySelectorAll('[data-range="' + range + '"]').forEach(light);
      outline(range);
    }
    box.textContent = mark.dataset.tip;
    box.hidden = false;
    var spot = at || centre(mark), w = box.offsetWidth, h = box.offsetHeight;
    var wide = document.documentElement.clientWidth;
    var x = Math.min(Math.max(spot[0] + 14, 6), wide - w - 6);
    var y = spot[1] - h - 14;
    if (y < 6) { y = spot[1] + 18; }
    box.style.transform = "translate(" + Math.round(x) + "px," + Math.round(y) + "px)";
    current.set(mark.ownerSVGElement, mark);
  }

  function nearest(svg, x, y, reach, ahead) {
    var best = null, least = Infinity;
    svg.querySelectorAll("[data-tip]").forEach(function (mark) {
      var c = centre(mark), dx = c[0] - x, dy = c[1] - y, d = Math.hypot(dx, dy);
      if (ahead) {
        var along = dx * ahead[0] + dy * ahead[1], side = Math.abs(dx * ahead[1]) + Math.abs(dy * ahead[0]);
        if (along < 0.5) { return; }
        d = along + 2.5 * side;
      }
      if (d < least && d <= reach) { least = d; best = mark; }
    });
    return best;
  }

  document.querySelectorAll("svg.plot").forEach(function (svg) {
    var touched = false;
    function point(event) {
      var mark = event.target.closest("[data-tip]");
      if (!mark && svg.classList.contains("near")) { mark = nearest(svg, event.clientX, event.clientY, 18); }
      if (mark && mark.classList.contains("shade")) { mark = null; }
      if (mark) { show(mark, [event.clientX, event.clientY]); } else { clear(); }
    }
    svg.addEventListener("pointermove", function (event) { if (event.pointerType !== "touch") { point(event); } });
    svg.addEventListener("pointerdown", function (event) { touched = true; point(event); });
    svg.addEventListener("pointerleave", function (event) { if (event.pointerType !== "touch") { clear(); } });
    svg.addEventListener("focus", function () {
      if (!touched) {
        var first = current.get(svg) || svg.querySelector(".pt.chosen") || svg.querySelector("[data-tip]:not(.shade)");
        if (first) { show(first); }
      }
      touched = false;
    });
    svg.addEventListener("blur", clear);
    svg.addEventListener("keydown", function (event) {
      var ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key === "Escape") { clear(); }
      if (!(event.key in ways)) { return; }
      event.preventDefault();
      var from = current.get(svg) || svg.querySelector("[data-tip]:not(.shade)");
      var c = centre(from), next = nearest(svg, c[0], c[1], Infinity, ways[event.key]);
      show(next || from);
    });
  });

  window.addEventListener("beforeprint", function () {
    clear();
    document.querySelectorAll("details").forEach(function (one) { one.open = true; });
  });
  document.addEventListener("scroll", clear, { passive: true });
  document.addEventListener("pointerdown", function (event) {
    if (!event.target.closest("svg.plot")) { clear(); }
  });
})();
