/** Files that the page makes for the visitor to keep. */

/** Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is kept as text. */
export function toCsv(rows: readonly (readonly (string | number | bigint | null)[])[]): string {
  const cell = (value: string | number | bigint | null) => {
    if (value === null) return "";
    if (typeof value !== "string") return String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

export function saveFile(name: string, type: string, content: string | Uint8Array): void {
  const url = URL.createObjectURL(new Blob([content as BlobPart], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
