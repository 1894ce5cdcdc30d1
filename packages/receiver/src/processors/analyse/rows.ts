/** A result of DuckDB as plain objects. */
import type { DuckDbModule } from "../duckdb/duckdb.ts";

export type Reader = import("@duckdb/node-api").DuckDBResultReader;
type Converter = import("@duckdb/node-api").DuckDBValueConverter<unknown>;

export function rowsOf(module: DuckDbModule, reader: Reader): Record<string, unknown>[] {
  return reader.convertRowObjects(converterOf(module));
}

/** Nothing loses digits: what a number cannot hold is a bigint or text. */
function converterOf({ DuckDBTypeId: Id, JSDuckDBValueConverter }: DuckDbModule): Converter {
  return (value, type, converter) => {
    if (value === null) return null;
    switch (type.typeId) {
      case Id.BIGINT:
      case Id.UBIGINT:
      case Id.HUGEINT:
      case Id.UHUGEINT:
      case Id.BIGNUM:
        return wholeNumber(value as bigint);
      case Id.DECIMAL:
      case Id.DATE:
      case Id.TIME:
      case Id.TIME_NS:
      case Id.TIME_TZ:
      case Id.INTERVAL:
        return String(value);
      default:
        return JSDuckDBValueConverter(value, type, converter as Parameters<typeof JSDuckDBValueConverter>[2]);
    }
  };
}

function wholeNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
