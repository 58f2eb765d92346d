// What may stand where the cursor is in a diagram: elements, attributes, types of boxes, parameters, streams, fields. Pure.
import type { Relation } from "../api/types";
import type { Offer, Offers } from "./completion";
import { scan_xml, streams_of, type Tag } from "./diagram_scan";
import { AGGREGATES, BOXES, CHOICES, DIAGRAM_FUNCTIONS, ELEMENTS, OPERATORS, TYPES } from "./diagram_words";

const word = (label: string, detail = "", boost = 0): Offer => ({ label, apply: label, kind: "keyword", detail, boost });

/** "expression.i" after "expression.0" is "expression.1". */
function numbered(parameter: string, used: ReadonlySet<string>): string {
  const match = /^(.*)\.(?:i|0)$/.exec(parameter);
  if (!match) return parameter;
  let next = 0;
  while (used.has(`${match[1]}.${next}`)) ++next;
  return `${match[1]}.${next}`;
}

const type_of = (parents: readonly Tag[]) => parents.find((tag) => tag.name === "box")?.attributes.get("type")?.toLowerCase() ?? "";

/** Parameters that the box around the cursor has already. */
function used_in(text: string, cursor: number): Set<string> {
  const begin = text.lastIndexOf("<box", cursor), end = text.indexOf("</box", cursor);
  return new Set([...text.slice(Math.max(begin, 0), end < 0 ? undefined : end).matchAll(/<parameter\s[^<>]*?\bname\s*=\s*["']([^"']*)["']/giu)].map((match) => match[1]!.toLowerCase()));
}

function values(text: string, cursor: number, tag: Tag, parents: readonly Tag[], attribute: string, relations: readonly Relation[]): Offer[] {
  // What is written below is offered, too.
  const said = streams_of(scan_xml(text, text.length).tags);
  const name = (label: string, detail: string, boost = 0): Offer => ({ label, apply: label, kind: "relation", detail, boost });
  if (tag.name === "field" && attribute === "type") return TYPES.map((type, i) => word(type, "", -i));
  if (tag.name === "field" && attribute === "name") return [...new Set(relations.filter((each) => each.kind === "stream").flatMap((each) => each.columns.map((column) => column.name)))].map((column) => name(column, "flows"));
  if (tag.name === "box" && attribute === "type") return Object.keys(BOXES).map((type, i) => word(type, "", -i));
  if (attribute === "schema") return said.schemas.map((schema) => name(schema, "schema"));
  if (attribute === "stream") {
    if (tag.name === "input") return relations.map((relation) => name(relation.name, relation.kind, relation.kind === "stream" ? 2 : 0));
    if (tag.name === "in") return [...said.inputs.map((stream) => name(stream, "input", 1)), ...said.written.map((stream) => name(stream, "stream"))];
    if (tag.name === "out") return said.outputs.map((stream) => name(stream, "output", 1));
    if (tag.name === "output") return said.written.map((stream) => name(stream, "stream"));
  }
  if (tag.name !== "parameter") return [];
  const type = type_of(parents);
  if (attribute === "name") {
    const used = used_in(text, cursor);
    return (BOXES[type] ?? [...new Set(Object.values(BOXES).flat())]).map((parameter, i) => word(numbered(parameter, used), type, -i)).filter(({ label }) => !used.has(label));
  }
  if (attribute !== "value") return [];
  const parameter = (tag.attributes.get("name") ?? "").toLowerCase();
  if (CHOICES[parameter]) return CHOICES[parameter].map((choice, i) => word(choice, "", -i));
  const fields = said.fields.map((field): Offer => ({ label: field, apply: field, kind: "column", detail: "field", boost: 2 }));
  const called = (functions: readonly string[]) => functions.map((each): Offer => ({ label: each, apply: `${each}(`, kind: "function", detail: "", boost: 1 }));
  if (/^aggregate-function\.\d+$/.test(parameter)) return [...called(AGGREGATES), ...fields];
  if (/^(group-by|order-on|(left-|right-)?order-on-field)$/.test(parameter)) return fields;
  if (/^(expression|out-field)\.\d+$|^predicate$/.test(parameter)) return [...fields, ...called(DIAGRAM_FUNCTIONS), ...OPERATORS.map((each) => word(each))];
  return [];
}

/** Null: nothing fits here. */
export function diagram_offers_at(text: string, cursor: number, relations: readonly Relation[]): Offers | null {
  const { place } = scan_xml(text, cursor);
  if (!place) return null;
  const { from } = place;
  const parent = place.parents[place.parents.length - 1];
  const some = (offers: Offer[]) => (offers.length > 0 ? { from, until: cursor, offers } : null);
  switch (place.kind) {
    case "end": return parent ? some([{ ...word(parent.name), apply: `${parent.name}>` }]) : null;
    case "element": {
      const offers = (parent ? ELEMENTS[parent.name]?.children ?? [] : ["borealis"]).map((child) => word(child));
      return some(parent ? [...offers, { ...word(`/${parent.name}`, "", -1), apply: `/${parent.name}>` }] : offers);
    }
    case "attribute": {
      const known = ELEMENTS[place.tag.name]?.attributes ?? [];
      return some(known.filter((each) => !place.tag.attributes.has(each)).map((each, i) => ({ ...word(each, "", -i), apply: `${each}=""`, back: 1 })));
    }
    case "value": return some(values(text, cursor, place.tag, place.parents, place.attribute, relations));
  }
}
