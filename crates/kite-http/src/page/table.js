// Tables whose rows are kept: only cells whose text has changed are written, so that a selection, the
// focus and a screen reader's place stay where they are. All texts are set as text, never as markup.

/** Creates an element with a class and a text. */
export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Sets the text of a node if it is another. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets the classes of a node if they are others. */
export function setClass(node, className) {
  if (node.className !== className) node.className = className;
}

/**
 * Fills the body of a table. `columns` have `label`, `text(row)`, and where they apply `kind`, a class
 * of the column, `tone(row)`, a class of the cell, and `make()`, which creates what has the text.
 * Rows with `data-extra` stay where they are. Returns the rows of the table by key.
 */
export function fill(body, columns, rows, key) {
  const kept = body.kept ?? (body.kept = new Map());
  const wanted = new Set(rows.map(key));
  for (const [name, row] of kept) {
    if (!wanted.has(name)) {
      row.remove();
      kept.delete(name);
    }
  }
  let next = body.firstElementChild;
  for (const row of rows) {
    const name = key(row);
    if (!kept.has(name)) kept.set(name, emptyRow(columns));
    const shown = kept.get(name);
    columns.forEach((column, number) => {
      const cell = shown.children[number];
      setClass(cell, [column.kind, column.tone?.(row)].filter(Boolean).join(" "));
      setText(cell.firstChild, column.text(row));
    });
    while (next?.dataset.extra) next = next.nextElementSibling;
    if (next === shown) next = shown.nextElementSibling;
    else body.insertBefore(shown, next);
  }
  return kept;
}

function emptyRow(columns) {
  const row = element("tr");
  columns.forEach((column, number) => {
    const cell = element(number === 0 ? "th" : "td");
    if (number === 0) cell.scope = "row";
    // On a narrow screen each cell has the label of its column.
    cell.dataset.label = column.label;
    cell.append(column.make?.() ?? element("span"));
    row.append(cell);
  });
  return row;
}

/** Writes the headings of a table. */
export function head(table, columns) {
  const row = element("tr");
  for (const column of columns) {
    const cell = element("th", column.kind, column.label);
    cell.scope = "col";
    row.append(cell);
  }
  table.tHead.replaceChildren(row);
}
