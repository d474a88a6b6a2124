// The address holds what is shown, so that a finding can be linked: its words, then its query.

/** What the address says: its words, and its query. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return {
    words: path.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(query),
  };
}

function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

/** An address within the page. What is empty is left out of its query.
 * @param {(string | number)[]} words @param {Record<string, any>} [query] */
export function link(words, query = {}) {
  const text = new URLSearchParams(filled(query)).toString();
  return `#/${words.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Change the query of the address without a new entry in the history.
 * @param {Record<string, any>} values */
export function remember(values) {
  const { words, query } = place();
  history.replaceState(null, "", link(words, { ...Object.fromEntries(query), ...values }));
}

/** What is given of a query, as text.
 * @param {Record<string, any>} query @returns {Record<string, string>} */
export function filled(query) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return Object.fromEntries(given.map(([key, value]) => [key, String(value)]));
}
