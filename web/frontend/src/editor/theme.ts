// How the editor looks. The colours are the page's own, so that light and dark need no
// second theme.

import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export const highlight = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.content, tags.attributeValue], color: "var(--open)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace, tags.meta], color: "var(--soft)" },
]);

const button = {
  font: "inherit",
  color: "var(--text)",
  background: "var(--pane)",
  border: "1px solid var(--edge)",
  borderRadius: "var(--r-small)",
  padding: "var(--s1) var(--s2)",
  minHeight: "1.75rem",
  cursor: "pointer",
};

export const theme = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--pane)", fontSize: "var(--t2)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  // What changes in the text moves nothing around it.
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", overflow: "auto", contain: "strict" },
  ".cm-content": { caretColor: "var(--text)", paddingBlock: "var(--s2)" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { color: "var(--faint)", backgroundColor: "transparent", border: "none" },
  ".cm-foldGutter .cm-gutterElement": { cursor: "pointer", padding: "0 var(--s1)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--sunk) 70%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--text)" },
  ".cm-placeholder": { color: "var(--faint)" },
  ".cm-foldPlaceholder": { color: "var(--soft)", backgroundColor: "var(--sunk)", border: "1px solid var(--line)", borderRadius: "4px", padding: "0 var(--s1)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
  ".cm-nonmatchingBracket": { backgroundColor: "var(--blocked-soft)" },
  ".cm-selectionMatch": { backgroundColor: "var(--accent-soft)" },
  ".cm-searchMatch": { backgroundColor: "var(--warn-soft)", outline: "1px solid var(--warn)" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--accent-soft)", outline: "2px solid var(--accent)" },

  "@media (forced-colors: active)": {
    "& .cm-selectionBackground": { forcedColorAdjust: "none", background: "Highlight !important" },
    "& .cm-deciding": { borderLeft: "3px solid CanvasText" },
    "& .cm-pointed": { borderLeft: "3px dashed CanvasText" },
  },

  // The lines that decide about the chosen connection, the policies that select the pod
  // that is pointed at, and what a selector selects.
  ".cm-deciding": { backgroundColor: "var(--warn-soft)", boxShadow: "inset 3px 0 var(--warn)" },
  ".cm-pointed": { backgroundColor: "var(--accent-soft)", boxShadow: "inset 3px 0 var(--accent)" },
  ".cm-selects": { color: "var(--faint)", paddingLeft: "3ch", fontStyle: "normal", pointerEvents: "none" },

  // The underline of the lint package is an image, which the page's policy forbids.
  ".cm-lintRange": { backgroundImage: "none", textDecoration: "underline wavy var(--blocked) 1.5px", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { textDecorationColor: "var(--warn)", textDecorationStyle: "dashed" },
  ".cm-lintRange-info": { textDecorationColor: "var(--accent)", textDecorationStyle: "dotted" },
  ".cm-lintPoint::after": { borderBottomColor: "var(--blocked)" },
  ".cm-lintPoint-warning::after": { borderBottomColor: "var(--warn)" },
  ".cm-lintPoint-info::after": { borderBottomColor: "var(--accent)" },

  ".cm-tooltip": {
    color: "var(--text)",
    backgroundColor: "var(--pane)",
    border: "1px solid var(--edge)",
    borderRadius: "var(--r-small)",
    boxShadow: "0 4px 16px var(--shade)",
    maxWidth: "min(32rem, calc(100vw - 2rem))",
    zIndex: "20",
  },
  ".cm-tooltip-section:not(:first-child)": { borderTop: "1px solid var(--line)" },
  ".cm-tooltip-lint": { fontFamily: "var(--sans)", fontSize: "var(--t2)", overflowWrap: "anywhere" },
  ".cm-diagnostic": { padding: "var(--s2) var(--s3)", borderLeft: "3px solid var(--blocked)", whiteSpace: "pre-wrap" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--blocked)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--accent)" },
  ".cm-diagnosticText": { display: "block", lineHeight: "1.45" },
  ".cm-diagnosticAction": { ...button, display: "inline-block", margin: "var(--s2) var(--s2) 0 0", textAlign: "left" },
  ".cm-diagnosticAction:hover": { borderColor: "var(--accent)" },
  ".cm-explains": { fontFamily: "var(--sans)", fontSize: "var(--t2)", padding: "var(--s2) var(--s3)", lineHeight: "1.45", maxHeight: "16rem", overflow: "auto" },
  ".cm-explains code": { fontFamily: "var(--mono)", fontWeight: "600" },
  ".cm-explains p": { margin: "var(--s1) 0 0", whiteSpace: "pre-line", color: "var(--soft)" },
  ".cm-explains .cm-explains-now": { color: "var(--text)" },

  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "var(--t2)", maxHeight: "15rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "var(--s1) var(--s3)", lineHeight: "1.4", display: "flex", gap: "var(--s3)", alignItems: "baseline" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { color: "var(--text)", backgroundColor: "var(--accent-soft)", boxShadow: "inset 3px 0 var(--accent)" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700", color: "var(--accent)" },
  ".cm-completionDetail": { marginLeft: "auto", fontFamily: "var(--sans)", fontSize: "var(--t1)", fontStyle: "normal", color: "var(--soft)" },
  ".cm-tooltip.cm-completionInfo": { fontFamily: "var(--sans)", fontSize: "var(--t2)", lineHeight: "1.45", padding: "var(--s2) var(--s3)", maxHeight: "15rem", overflow: "auto", whiteSpace: "pre-line" },
  ".cm-snippetField": { backgroundColor: "var(--accent-soft)", outline: "1px dashed var(--accent)" },

  ".cm-panels": { color: "var(--text)", backgroundColor: "var(--ground)", fontFamily: "var(--sans)", fontSize: "var(--t2)", zIndex: "10" },
  ".cm-panels-top": { borderBottom: "1px solid var(--line)" },
  ".cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-panel.cm-search": { padding: "var(--s2) var(--s6) var(--s2) var(--s3)" },
  ".cm-panel.cm-search input, .cm-panel.cm-search button, .cm-panel.cm-search label": { fontSize: "var(--t2)", margin: "0 var(--s1) var(--s1) 0" },
  ".cm-textfield": { font: "inherit", color: "var(--text)", background: "var(--pane)", border: "1px solid var(--edge)", borderRadius: "var(--r-small)", padding: "var(--s1) var(--s2)", minHeight: "1.75rem" },
  ".cm-button": { ...button, backgroundImage: "none", textTransform: "capitalize" },
  ".cm-button:active": { backgroundImage: "none", background: "var(--sunk)" },
  ".cm-panel.cm-search [name=close]": { ...button, border: "none", top: "var(--s1)", right: "var(--s2)", minWidth: "1.75rem", fontSize: "var(--t5)" },
  ".cm-problems": { maxHeight: "10rem", overflow: "auto" },
  ".cm-problems ul": { listStyle: "none", margin: "0", padding: "0" },
  ".cm-problems li": { padding: "var(--s1) var(--s3)", whiteSpace: "normal", overflowWrap: "anywhere" },
  ".cm-problems li + li": { borderTop: "1px solid var(--line)" },
  ".cm-problem": { font: "inherit", fontWeight: "600", color: "var(--accent)", background: "none", border: "none", padding: "0 var(--s1)", minHeight: "1.75rem", cursor: "pointer", textDecoration: "underline" },
  ".cm-problems .cm-diagnosticAction": { margin: "var(--s1) 0 var(--s1) var(--s2)" },
  ".cm-notice": { padding: "var(--s2) var(--s3)", color: "var(--text)", background: "var(--warn-soft)" },
});
