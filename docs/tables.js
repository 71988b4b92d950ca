// Makes every table of class "sortable" sortable: a button in each head, aria-sort as state, plain order without script.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const order = [...body.rows];
  const value = (row, column) => row.cells[column].dataset.value ?? "";
  heads.forEach((head, column) => {
    const words = column === 0 || head.classList.contains("words"), first = words ? "ascending" : "descending";
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const turned = head.getAttribute("aria-sort") === first;
      const sort = turned ? (words ? "descending" : "ascending") : first;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sort);
      const sign = sort === "ascending" ? 1 : -1;
      const rows = [...order].sort((a, b) => {
        const x = value(a, column), y = value(b, column);
        if (column === 0) return sign * x.localeCompare(y, "en", {numeric: true});
        if (x === "" || y === "") return (x === "") - (y === "");  // what is not known stands last either way
        return isNaN(x) || isNaN(y) ? sign * x.localeCompare(y, "en", {numeric: true}) : sign * (x - y);
      });
      body.append(...rows);
    });
  });
}
