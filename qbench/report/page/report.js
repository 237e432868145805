"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("results");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const said = document.getElementById("said");

  const keyOf = (row, column) => {
    const cell = row.cells[column];
    const key = cell.dataset.sort;
    if (key === undefined) return cell.textContent.trim().toLowerCase();
    return key === "" ? null : Number(key);
  };
  // Rows without a number stay last in both directions: they are no extreme of anything.
  const compare = (a, b, direction) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (a < b ? -1 : a > b ? 1 : 0);
  };
  const sortBy = (column) => {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = rows.map((row, place) => [keyOf(row, column), place, row]);
    keyed.sort((a, b) => compare(a[0], b[0], up ? 1 : -1) || a[1] - b[1]);
    body.append(...keyed.map((entry) => entry[2]));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(column));
    head.append(button);
  });

  const filter = document.getElementById("filter");
  const subsets = document.getElementById("subsets");
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = rows.filter((row) => subsets.checked || !row.classList.contains("subset"));
    const shown = new Set(wanted.filter((row) => {
      const text = row.textContent.toLowerCase();
      return words.every((word) => text.includes(word));
    }));
    rows.forEach((row) => { row.hidden = !shown.has(row); });
    said.textContent = `${shown.size} of ${wanted.length} rows`;
  };
  filter.addEventListener("input", show);
  subsets.addEventListener("change", show);
  subsets.parentElement.hidden = !rows.some((row) => row.classList.contains("subset"));
  show();

  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const csvCell = (value) => {
    if (value === null) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = () => {
    if (data.rows.length === 0) return "";
    const names = Object.keys(data.rows[0]);
    const lines = data.rows.map((row) => names.map((name) => csvCell(row[name])).join(","));
    return [names.join(","), ...lines].join("\r\n") + "\r\n";
  };
  // The page's colours are custom properties; a drawing that leaves the page needs them as values.
  const drawing = (svg) => {
    const copy = svg.cloneNode(true);
    const own = [svg, ...svg.querySelectorAll("*")];
    [copy, ...copy.querySelectorAll("*")].forEach((element, index) => {
      const style = getComputedStyle(own[index]);
      for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "text-anchor"]) {
        element.setAttribute(name, style.getPropertyValue(name));
      }
      element.removeAttribute("class");
    });
    return new XMLSerializer().serializeToString(copy);
  };
  const actions = {
    csv: () => save("qbench.csv", "text/csv", csv()),
    json: () => save("qbench.json", "application/json", JSON.stringify(data, null, 1)),
    svg: (button) => save("qbench-tradeoff.svg", "image/svg+xml", drawing(button.closest("figure").querySelector("svg.chart"))),
  };
  document.querySelectorAll("button[data-do]").forEach((button) => {
    button.addEventListener("click", () => actions[button.dataset.do](button));
  });
  document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });
  document.body.dataset.ready = "yes";
})();
