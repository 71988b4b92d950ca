for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const descending = column > 0 ? head.ariaSort !== "descending" : head.ariaSort === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = row => row.cells[column].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = value(a), y = value(b), order = column > 0 ? (x === "") - (y === "") || x - y : x.localeCompare(y);
      return column > 0 && (x === "" || y === "") ? order : descending ? -order : order;
    });
    table.tBodies[0].append(...rows);
  }));
}
