/** The docs pages: plain HTML made from the API's own description, without a script. */
import { hash } from "node:crypto";
import { ERRORS } from "../../base/errors.ts";
import type { OpenApi, Operation } from "./openapi.ts";
import { HTTP_ERRORS } from "./problem.ts";

export function docsPage(api: OpenApi): string {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const byTag = Map.groupBy(operations, ({ operation }) => operation.tags[0] ?? "");
  const contents = [...byTag.keys()]
    .map((tag) => `<a href="#${anchor(tag)}">${escapeHtml(tag)}</a>`)
    .join(" ");
  const groups = [...byTag].map(
    ([tag, group]) =>
      `<h2 id="${anchor(tag)}">${escapeHtml(tag)}</h2>${group.map(({ path, method, operation }) => operationHtml(path, method, operation)).join("")}`,
  );
  const schemas = Object.entries(api.components.schemas).map(
    ([name, schema]) =>
      `<details id="schema-${name}"><summary><code>${name}</code></summary>${schemaHtml(schema)}</details>`,
  );
  return page(
    `Posthorn API ${api.info.version}`,
    `<p>${escapeHtml(api.info.description)} Machines read <a href="/openapi.json">/openapi.json</a>; every error code stands in <a href="/docs/errors">/docs/errors</a>.</p>
<nav>${contents} <a href="#schemas">Schemas</a></nav>
${groups.join("\n")}
<h2 id="schemas">Schemas</h2>
${schemas.join("\n")}`,
  );
}

export function errorsPage(version: string): string {
  const rows = Object.entries({ ...ERRORS, ...HTTP_ERRORS }).map(
    ([code, { status, title }]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${escapeHtml(title)}</td></tr>`,
  );
  return page(
    `Posthorn errors ${version}`,
    `<p>Every error is a problem document (RFC 9457) with one of these codes; <code>detail</code> names the field, the value and what to do. Back to <a href="/docs">the API</a>.</p>
<table><thead><tr><th>Code</th><th>Status</th><th>Meaning</th></tr></thead><tbody>${rows.join("")}</tbody></table>`,
  );
}

function operationHtml(path: string, method: string, operation: Operation): string {
  const open = operation.security.length === 0 ? " <small>open</small>" : "";
  const parameters = operation.parameters.map(
    ({ name, in: place, description = "" }) =>
      `<li><code>${escapeHtml(name)}</code> <small>${place}</small> ${escapeHtml(description)}</li>`,
  );
  const body = Object.entries(operation.requestBody?.content ?? {}).slice(0, 1);
  const responses = Object.entries(operation.responses).map(([status, response]) => {
    const { description, content = {} } = response as {
      description: string;
      content?: Record<string, { schema: unknown }>;
    };
    const schema = Object.values(content)[0]?.schema;
    return `<p><b>${status}</b> ${escapeHtml(description)}</p>${schema === undefined ? "" : schemaHtml(schema)}`;
  });
  return `<details><summary><span class="method">${method}</span> <code>${escapeHtml(path)}</code> ${escapeHtml(operation.summary)}${open}</summary>
${parameters.length > 0 ? `<h4>Parameters</h4><ul>${parameters.join("")}</ul>` : ""}
${body.map(([type, { schema }]) => `<h4>Body <small>${type}</small></h4>${schemaHtml(schema)}`).join("")}
<h4>Answers</h4>${responses.join("")}</details>`;
}

/** The schema as JSON; what it refers to is a link. */
function schemaHtml(schema: unknown): string {
  const text = escapeHtml(JSON.stringify(schema, null, 2)).replace(
    /#\/components\/schemas\/([A-Za-z]+)/g,
    '<a href="#schema-$1">$1</a>',
  );
  return `<pre>${text}</pre>`;
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title>
<style>${STYLE}</style></head><body><main><h1>${escapeHtml(title)}</h1>
${body}
</main></body></html>
`;
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:0}main{max-width:60rem;margin:0 auto;padding:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto;padding:.75rem;background:#8881;border-radius:.4rem}
details{border-bottom:1px solid #8884;padding:.4rem 0}summary{cursor:pointer}.method{display:inline-block;min-width:4.5rem;font-weight:600}
nav a{margin-right:.75rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}
tr:target{background:#fc06}a{color:LinkText}small{opacity:.7}`;

/** As a Content-Security-Policy names it. */
export const STYLE_HASH = `sha256-${hash("sha256", STYLE, "base64")}`;

function anchor(tag: string): string {
  return tag.toLowerCase().replaceAll(" ", "-");
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
