// Hover text, touch and keys for the figures. Without scripts, browsers show the titles of the marks themselves.
(function () {
  "use strict";
  const box = document.getElementById("tip"), last = new Map(), marks = [];
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  document.querySelectorAll("svg.plot title").forEach((title) => {
    const mark = title.parentNode, blocks = mark.id.match(/(\d+):(\d+)$/);
    mark.classList.add("mark");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", title.textContent);
    title.remove();
    marks.push({ mark, svg: mark.ownerSVGElement, start: Number(blocks && blocks[1]), stop: Number(blocks && blocks[2]) });
  });

  // The same range in every figure, and all blocks of it in the profile.
  function alike(one, other) {
    const inside = one.start <= other.start && other.stop <= one.stop && other.svg.classList.contains("profile");
    return one === other || (one.stop && other.stop && (inside || (one.start === other.start && one.stop === other.stop)));
  }

  function middle(one) {
    const r = one.mark.getBoundingClientRect();
    return [r.left + r.width / 2, r.top + r.height / 2];
  }

  // The mark of a figure for whose offset from a place the cost is least.
  function nearest(svg, [x, y], cost) {
    const costs = marks.filter((one) => one.svg === svg).map((one) => [cost(middle(one)[0] - x, middle(one)[1] - y), one]);
    return costs.reduce((best, one) => (one[0] < best[0] ? one : best), [Infinity, null])[1];
  }

  function clear() {
    marks.forEach((one) => one.mark.classList.remove("lit"));
    document.querySelectorAll(".outline").forEach((one) => one.remove());
    box.hidden = true;
  }

  // Its outline lies over all else in the figure, or the marks beside it would cover half of it.
  function light(one) {
    const outline = one.mark.cloneNode(false);
    outline.removeAttribute("id");
    outline.setAttribute("aria-hidden", "true");
    outline.setAttribute("class", "outline");
    one.svg.append(outline);
    one.mark.classList.add("lit");
  }

  function show(one, [x, y]) {
    clear();
    marks.filter((other) => alike(one, other)).forEach(light);
    last.set(one.svg, one);
    box.textContent = one.mark.getAttribute("aria-label");
    box.hidden = false;
    const left = Math.min(x + 14, document.documentElement.clientWidth - box.offsetWidth - 6);
    const top = y - box.offsetHeight - 14;
    box.style.transform = `translate(${Math.max(left, 6)}px,${top < 6 ? y + 18 : top}px)`;
  }

  document.querySelectorAll("svg.plot").forEach((svg) => {
    const current = () => last.get(svg) || marks.find((one) => one.svg === svg);
    function point(event) {
      const at = [event.clientX, event.clientY], close = (dx, dy) => (Math.hypot(dx, dy) < 18 ? Math.hypot(dx, dy) : Infinity);
      const found = marks.find((one) => one.mark === event.target.closest(".mark")) || nearest(svg, at, close);
      if (found) { show(found, at); } else { clear(); }
    }
    svg.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") { point(event); } });
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") { clear(); } });
    svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) { show(current(), middle(current())); } });
    svg.addEventListener("blur", clear);
    svg.addEventListener("keydown", (event) => {
      const way = ways[event.key];
      if (event.key === "Escape") { clear(); }
      if (!way) { return; }
      event.preventDefault();
      const next = nearest(svg, middle(current()), (dx, dy) => {
        const along = dx * way[0] + dy * way[1], aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
        return along < 0.5 ? Infinity : along + 2.5 * aside;
      });
      show(next || current(), middle(next || current()));
    });
  });

  // A table as CSV, as it is read: one row a line, quotes doubled.
  function csv(table) {
    const quoted = (cell) => `"${cell.textContent.trim().replace(/"/g, '""')}"`;
    return [...table.rows].map((row) => [...row.cells].map(quoted).join(",")).join("\r\n");
  }

  document.querySelectorAll("table").forEach((table) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `Save as CSV: ${table.caption.textContent}`);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" }));
      link.download = `${table.closest("section").id}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
    table.parentNode.after(button);
  });

  window.addEventListener("beforeprint", () => {
    clear();
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
  });
  document.addEventListener("scroll", clear, { passive: true });
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest("svg.plot")) { clear(); } });
})();
