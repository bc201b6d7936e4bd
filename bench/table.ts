/** Lays out rows of text in columns: the first, of names, to the left, and the others, of numbers, to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) => widthOf(rows.map((row) => row[column] ?? '')));
  const line = (row: readonly string[]) =>
    widths.map((width, column) => pad(row[column] ?? '', width, column)).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

function widthOf(cells: readonly string[]): number {
  return Math.max(...cells.map((cell) => cell.length));
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
