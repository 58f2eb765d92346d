// src/api/types.ts says nothing that docs/openapi.json does not.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { console_folder } from "./load.mjs";

const file = path.join(console_folder, "src/api/types.ts");
const source = ts.createSourceFile(file, fs.readFileSync(file, "utf8"), ts.ScriptTarget.ES2022, true);
const document = JSON.parse(fs.readFileSync(path.join(console_folder, "../docs/openapi.json"), "utf8"));
const schemas = {
  ...document.components.schemas,
  Session: document.paths["/api/v1/sessions"].post.responses["201"].content["application/json"].schema,
};
const interfaces = source.statements.filter(ts.isInterfaceDeclaration);

for (const declared of interfaces) {
  const name = declared.name.text;
  test(`${name} is as the document has it`, () => {
    const schema = schemas[name];
    assert.ok(schema, `no schema ${name}`);
    compare(declared.members, schema, name);
  });
}

function compare(members, schema, where) {
  for (const member of members) {
    const name = member.name.text;
    const property = schema.properties?.[name];
    assert.ok(property, `${where}.${name} is not in the document`);
    const required = (schema.required ?? []).includes(name);
    // Alerts' counts and the like are always sent; the document lists what is required.
    assert.equal(member.questionToken === undefined, required, `${where}.${name}: ${required ? "required" : "may be absent"}`);
    const text = member.type.getText(source);
    const types = [property.type ?? []].flat();
    const null_told = types.includes("null") || JSON.stringify(property.oneOf ?? []).includes('"null"');
    if (property.type || property.oneOf) assert.equal(/\bnull\b/.test(strip(text)), null_told, `${where}.${name}: ${text}`);
    for (const [type, word] of [["string", /string|Time|Tier|Role|"/], ["integer", /number/], ["number", /number/], ["boolean", /boolean/], ["array", /\[\]$/]]) {
      if (types.includes(type)) assert.match(text, word, `${where}.${name} is ${type}`);
    }
    if (property.enum) assert.deepEqual([...text.matchAll(/"([^"]+)"/g)].map(([, value]) => value).concat(text === "Tier" ? ["raw", "1m", "5m", "1h"] : []).sort(), property.enum.filter((value) => value !== null).sort(), `${where}.${name}`);
    const literal = ts.isTypeLiteralNode(member.type) ? member.type
      : ts.isArrayTypeNode(member.type) && ts.isTypeLiteralNode(member.type.elementType) ? member.type.elementType
      : ts.isUnionTypeNode(member.type) ? member.type.types.find(ts.isTypeLiteralNode) : undefined;
    const inner = property.items ?? property;
    if (literal && inner.properties) for (const each of literal.members) assert.ok(inner.properties[each.name.text], `${where}.${name}.${each.name.text} is not in the document`);
  }
}

/** Without what stands in braces: null in there is another's. */
function strip(text) {
  return text.replace(/\{[^]*\}/g, "");
}

test("the document has what the test reads", () => assert.ok(interfaces.length >= 13));
