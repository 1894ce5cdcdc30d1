/** How columns come: bigint as number, date as text. Everything else as the driver gives it. */
import pg from "pg";

const INT8 = 20;
const INT8_ARRAY = 1016;
const DATE = 1082;
const DATE_ARRAY = 1182;
const TEXT_ARRAY = 1009;

const asIs = (text: string): string => text;
const parserOf = pg.types.getTypeParser as (oid: number) => (text: string) => (string | null)[];
const textArray = parserOf(TEXT_ARRAY);
const OURS: Readonly<Record<number, (text: string) => unknown>> = {
  // Milliseconds, counts and identities: far below 2^53.
  [INT8]: Number,
  [INT8_ARRAY]: (text) => textArray(text).map((each) => (each === null ? null : Number(each))),
  [DATE]: asIs,
  [DATE_ARRAY]: textArray,
};

export const PARSERS: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    OURS[oid] ?? pg.types.getTypeParser(oid, format as "text")) as pg.CustomTypesConfig["getTypeParser"],
};
