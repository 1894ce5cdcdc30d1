/**
 * A result of DuckDB as a table of apache-arrow, which is no dependency of this package. DuckDB's own types, where Arrow has them and
 * JavaScript can build them; lists, structs and the rest become JSON text.
 */
import type { DuckDbModule } from "../duckdb/duckdb.ts";
import { importPeer } from "../duckdb/peer.ts";
import type { Reader } from "./rows.ts";

type Arrow = typeof import("apache-arrow");
type Vector = import("apache-arrow").Vector;
type Value = import("@duckdb/node-api").DuckDBValue;
type Type = import("@duckdb/node-api").DuckDBType;
type DecimalType = import("@duckdb/node-api").DuckDBDecimalType;

export async function tableOf(module: DuckDbModule, reader: Reader): Promise<import("apache-arrow").Table> {
  const arrow = await importPeer("apache-arrow", () => import("apache-arrow"));
  // None at all where there are no rows.
  const columns = reader.getColumns();
  const types = reader.columnTypes();
  const vectors = reader
    .deduplicatedColumnNames()
    .map((name, index): [string, Vector] => [
      name,
      vectorOf(arrow, module, types[index]!, columns[index] ?? []),
    ]);
  return new arrow.Table(Object.fromEntries(vectors));
}

function vectorOf(arrow: Arrow, module: DuckDbModule, type: Type, values: readonly Value[]): Vector {
  const { DuckDBTypeId: Id } = module;
  switch (type.typeId) {
    case Id.BOOLEAN:
      return arrow.vectorFromArray(values, new arrow.Bool());
    case Id.TINYINT:
      return arrow.vectorFromArray(values, new arrow.Int8());
    case Id.SMALLINT:
      return arrow.vectorFromArray(values, new arrow.Int16());
    case Id.INTEGER:
      return arrow.vectorFromArray(values, new arrow.Int32());
    case Id.BIGINT:
      return arrow.vectorFromArray(values, new arrow.Int64());
    case Id.UTINYINT:
      return arrow.vectorFromArray(values, new arrow.Uint8());
    case Id.USMALLINT:
      return arrow.vectorFromArray(values, new arrow.Uint16());
    case Id.UINTEGER:
      return arrow.vectorFromArray(values, new arrow.Uint32());
    case Id.UBIGINT:
      return arrow.vectorFromArray(values, new arrow.Uint64());
    case Id.HUGEINT: // the sum of whole numbers is one
      return decimals(arrow, values, new arrow.Decimal(0, 38), (value) => value as bigint);
    case Id.DECIMAL: {
      const { scale, width } = type as DecimalType;
      return decimals(
        arrow,
        values,
        new arrow.Decimal(scale, width),
        (value) => (value as { value: bigint }).value,
      );
    }
    case Id.FLOAT:
      return arrow.vectorFromArray(values, new arrow.Float32());
    case Id.DOUBLE:
      return arrow.vectorFromArray(values, new arrow.Float64());
    case Id.DATE:
      return arrow.vectorFromArray(
        mapped(values, (value) => daysOf(value) * 86_400_000),
        new arrow.DateDay(),
      );
    case Id.TIMESTAMP:
      return instants(arrow, values, new arrow.TimestampMicrosecond());
    case Id.TIMESTAMP_TZ:
      return instants(arrow, values, new arrow.TimestampMicrosecond("UTC"));
    case Id.BLOB:
      return arrow.vectorFromArray(
        mapped(values, (value) => (value as { bytes: Uint8Array }).bytes),
        new arrow.Binary(),
      );
    case Id.LIST:
    case Id.ARRAY:
    case Id.STRUCT:
    case Id.MAP:
    case Id.UNION: {
      const json = (value: Value) =>
        JSON.stringify(module.JsonDuckDBValueConverter(value, type, module.JsonDuckDBValueConverter));
      return arrow.vectorFromArray(mapped(values, json), new arrow.Utf8());
    }
    default:
      return arrow.vectorFromArray(mapped(values, String), new arrow.Utf8());
  }
}

function daysOf(value: Value): number {
  return (value as { days: number }).days;
}

/** Arrow's builder goes by way of a double, which is too coarse for microseconds. */
function instants(
  arrow: Arrow,
  values: readonly Value[],
  type: import("apache-arrow").TimestampMicrosecond,
): Vector {
  const data = BigInt64Array.from(values, (value) =>
    value === null ? 0n : (value as { micros: bigint }).micros,
  );
  return arrow.makeVector(
    arrow.makeData({ type, length: values.length, data, ...validity(values) }),
  ) as Vector;
}

/** Unscaled, as 128 bits in four words, the lowest first. */
function decimals(
  arrow: Arrow,
  values: readonly Value[],
  type: import("apache-arrow").Decimal,
  unscaled: (value: Value) => bigint,
): Vector {
  const words = new BigInt64Array(values.length * 2);
  values.forEach((value, index) => {
    const number = value === null ? 0n : unscaled(value);
    words[index * 2] = BigInt.asIntN(64, number);
    words[index * 2 + 1] = number >> 64n;
  });
  const data = new Uint32Array(words.buffer);
  return arrow.makeVector(
    arrow.makeData({ type, length: values.length, data, ...validity(values) }),
  ) as Vector;
}

/** A bit for each value that there is. */
function validity(values: readonly Value[]): { readonly nullCount: number; readonly nullBitmap: Uint8Array } {
  const nullBitmap = new Uint8Array(Math.ceil(values.length / 64) * 8);
  let nullCount = 0;
  values.forEach((value, index) => {
    if (value === null) nullCount += 1;
    else nullBitmap[index >> 3]! |= 1 << (index & 7);
  });
  return { nullCount, nullBitmap };
}

function mapped<To>(values: readonly Value[], to: (value: Value) => To): (To | null)[] {
  return values.map((value) => (value === null ? null : to(value)));
}
