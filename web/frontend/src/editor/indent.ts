/**
 * The indentation of the line after the one that reads as given up to the
 * cursor: deeper behind a colon, under the first key of a list's item, under
 * the dash of a plain one, and the same otherwise.
 */
export function indentAfter(line: string): string {
  const dashes = /^ *(?:- +)+/.exec(line)?.[0] ?? "";
  const content = line.slice(dashes.length).replace(/(^|\s)#.*$/, "").trimEnd();
  const isKey = /:(\s|$)/.test(content);
  const indent = dashes && (isKey || content === "") ? " ".repeat(dashes.length) : (/^ */.exec(line)?.[0] ?? "");
  return content.endsWith(":") ? indent + "  " : indent;
}
