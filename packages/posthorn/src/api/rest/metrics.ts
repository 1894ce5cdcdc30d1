/** /metrics: counters of the engine in Prometheus' text form, read when they are asked for. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { LATENCY_BOUNDS_MS } from "../../domain/figures.ts";
import type { Engine, EngineCounters, EngineHealth } from "../../engine/engine.ts";

type Metered = Pick<Engine, "counters" | "health">;

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Nothing is made before the first scrape: a server that nobody scrapes measures no event loop. */
export function createMetrics(engine: Metered): Metrics {
  let scrape: (() => Promise<string>) | undefined;
  return {
    contentType: Registry.PROMETHEUS_CONTENT_TYPE,
    text() {
      scrape ??= build(engine);
      return scrape();
    },
  };
}

function build(engine: Metered): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  let counters = engine.counters();
  let health: EngineHealth | undefined;
  const registers = [registry];

  const counter = (name: string, help: string, read: (counters: EngineCounters) => number): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read(counters));
      },
    });
  };
  const counterBy = (
    name: string,
    help: string,
    label: string,
    read: (counters: EngineCounters) => Counts,
  ): void => {
    new Counter({
      name,
      help,
      registers,
      labelNames: [label],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(read(counters))) this.inc({ [label]: value }, count);
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number | undefined | null): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const value = read();
        if (value === undefined || value === null) this.reset();
        else this.set(value);
      },
    });
  };

  counter("posthorn_events_accepted_total", "Events stored and answered", ({ accepted }) => accepted);
  counter(
    "posthorn_events_duplicate_total",
    "Publications that were there already",
    ({ duplicates }) => duplicates,
  );
  counter("posthorn_publications_refused_total", "Publications refused", ({ refused }) => refused);
  counterBy("posthorn_attempts_total", "Attempts by outcome", "outcome", ({ attempts }) => attempts);
  counterBy(
    "posthorn_deliveries_finished_total",
    "Deliveries by final state",
    "state",
    ({ finals }) => finals,
  );
  new AttemptDurations(registers, () => counters);
  gauge("posthorn_attempts_in_flight", "Attempts under way", () => counters.inFlight);
  gauge("posthorn_lanes", "Lanes in memory", () => counters.lanes);
  gauge("posthorn_deliveries_waiting", "Deliveries waiting in memory", () => counters.waiting);
  gauge("posthorn_deliveries_waiting_bytes", "Their payload bytes", () => counters.waitingBytes);
  gauge("posthorn_ready", "1 when this node can take and send events", () =>
    health?.ready === true ? 1 : 0,
  );
  gauge("posthorn_store_bytes", "Bytes that the store takes", () => health?.store?.bytes);
  gauge("posthorn_store_free_bytes", "Free bytes where the store lies", () => health?.store?.freeBytes);
  gauge("posthorn_store_accepting", "0 once below the disk reserve", () =>
    health?.store?.accepting ? 1 : 0,
  );

  return async () => {
    counters = engine.counters();
    health = await engine.health().catch(() => undefined);
    return registry.metrics();
  };
}

type Counts = Readonly<Record<string, number>>;

const DURATION = { name: "posthorn_attempt_duration_seconds", help: "Durations of attempts" };

/** A histogram whose buckets were counted elsewhere. */
class AttemptDurations extends Histogram {
  readonly #read: () => EngineCounters;

  constructor(registers: Registry[], read: () => EngineCounters) {
    super({ ...DURATION, registers, buckets: [] });
    this.#read = read;
  }

  /** What the registry asks every metric for when it writes text. */
  async getForPromString() {
    const { latency, latencySumMs } = this.#read();
    let count = 0;
    const buckets = latency.map((more, index) => {
      count += more;
      const boundMs = LATENCY_BOUNDS_MS[index];
      const le = boundMs === undefined ? "+Inf" : boundMs / 1000;
      return { labels: { le }, value: count, metricName: `${DURATION.name}_bucket` };
    });
    const sum = { labels: {}, value: latencySumMs / 1000, metricName: `${DURATION.name}_sum` };
    const total = { labels: {}, value: count, metricName: `${DURATION.name}_count` };
    return { ...DURATION, type: "histogram", aggregator: "sum", values: [...buckets, sum, total] };
  }
}
