/**
 * The JSON Schema of an event type (2020-12), compiled to a check of `data`. Patterns run on a linear-time engine, so
 * that no schema can be made to hang the publish path; remote references are not fetched. `format` is an annotation,
 * as 2020-12 has it, and checks nothing.
 */
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { RE2JS } from "re2js";
import { messageOf, PosthornError } from "../base/errors.ts";
import { compilePattern } from "./pattern.ts";

export interface SchemaProblem {
  /** RFC 6901 pointer into `data`. */
  readonly pointer: string;
  readonly message: string;
}

/** null: the data matches. */
export type SchemaCheck = (data: unknown) => SchemaProblem | null;

/** @throws PosthornError `invalid_schema` with what is wrong with it. */
export function compileSchema(schema: unknown): SchemaCheck {
  checkDialect(schema);
  let validate: ValidateFunction;
  try {
    validate = createAjv().compile(schema as object | boolean);
  } catch (error) {
    throw invalidSchema(messageOf(error));
  }
  if ("$async" in validate) throw invalidSchema("$async is no keyword of JSON Schema");
  return (data) => {
    try {
      if (validate(data) === true) return null;
    } catch (error) {
      // A schema that refers to itself without an end.
      return { pointer: "", message: `cannot be checked (${messageOf(error)})` };
    }
    return problemOf(validate.errors?.[0]);
  };
}

/** A fresh instance for each schema: an `$id` in one must not clash with, or be seen by, another. */
function createAjv(): Ajv2020 {
  const ajv = new Ajv2020({
    strict: false,
    validateFormats: false,
    logger: false,
    // Otherwise an object without a field "constructor" would be taken to have it.
    ownProperties: true,
    code: { regExp: linearTime },
  });
  // Ajv compares each item with each: 100,000 small objects would take minutes.
  ajv.removeKeyword("uniqueItems");
  ajv.addKeyword({
    keyword: "uniqueItems",
    type: "array",
    schemaType: "boolean",
    compile: (wanted: boolean) => (wanted ? hasUniqueItems : () => true),
    error: { message: "must NOT have duplicate items" },
  });
  return ajv;
}

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

function checkDialect(schema: unknown): void {
  const dialect =
    typeof schema === "object" && schema !== null && "$schema" in schema ? schema.$schema : DIALECT;
  if (typeof dialect === "string" && dialect.replace(/#$/, "") === DIALECT) return;
  throw invalidSchema(
    `$schema is ${JSON.stringify(dialect)?.slice(0, 200)}. Use ${DIALECT}, or leave it out`,
  );
}

function invalidSchema(why: string): PosthornError {
  return new PosthornError("invalid_schema", `/schema cannot be used: ${why}.`, { pointer: "/schema" });
}

function problemOf(error: ErrorObject | undefined): SchemaProblem {
  if (error === undefined) return { pointer: "", message: "does not match" };
  const { instancePath, params } = error;
  switch (error.keyword) {
    case "required":
      return { pointer: within(instancePath, params.missingProperty), message: "is required" };
    case "additionalProperties":
      return { pointer: within(instancePath, params.additionalProperty), message: "is not allowed" };
    case "unevaluatedProperties":
      return { pointer: within(instancePath, params.unevaluatedProperty), message: "is not allowed" };
    default:
      return { pointer: instancePath, message: error.message ?? "does not match" };
  }
}

function within(pointer: string, field: unknown): string {
  return `${pointer}/${String(field).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

function hasUniqueItems(items: readonly unknown[]): boolean {
  return new Set(items.map(canonical)).size === items.length;
}

/** The same text for values that JSON Schema holds equal: whatever the order of an object's fields. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`);
  return `{${fields.sort().join()}}`;
}

function linearTime(pattern: string): { test(text: string): boolean; toString(): string } {
  const compiled = compilePattern(RE2JS.translateRegExp(pattern));
  if (compiled.kind === "refused")
    throw new Error(`pattern ${JSON.stringify(pattern.slice(0, 200))}: ${compiled.why}`);
  // Ajv keeps compiled patterns by their text: with the same text, all would be the first one.
  return { test: (text) => compiled.pattern.test(text), toString: () => pattern };
}
linearTime.code = "linearTime";
