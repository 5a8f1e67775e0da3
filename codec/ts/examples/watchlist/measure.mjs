// How smooth the watchlist is: `npm run build`, then
//   TICKWIRE=path/of/tickwire npm run measure
// A node with 500 symbols and 20,000 updates a second, the app in a headless browser, at several rates.
import { readFileSync, readdirSync } from 'node:fs';
import { launch, serveApp, startNode } from './app.mjs';

const SECONDS = 10, SETTLE_S = 4, TICKS = 100; // of /proc, a second
const node = await startNode('--sim-symbols=500', '--sim-rate=20000'), app = await serveApp();

/** CPU seconds that a process and those below it have taken, where there is a /proc. */
function cpu(pid) {
  try {
    const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
      try {
        const rest = readFileSync(`/proc/${name}/stat`, 'utf8').replace(/.*\) /, '').split(' ');
        return [{ pid: +name, parent: +rest[1], took: (+rest[11] + +rest[12]) / TICKS }];
      } catch { return []; } // ended meanwhile
    });
    const below = (p) => all.filter((x) => x.parent === p).reduce((sum, x) => sum + below(x.pid), 0) + (all.find((x) => x.pid === p)?.took ?? 0);
    return below(pid);
  } catch { return NaN; }
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
const percent = (share) => `${(100 * share).toFixed(0)}%`;

/** Notes frames and long tasks in the page. */
function watch() {
  const seen = (window.seen = { frames: [], long: 0 });
  new PerformanceObserver((list) => { seen.long += list.getEntries().length; }).observe({ type: 'longtask' });
  requestAnimationFrame(function frame(now) {
    seen.frames.push(now);
    requestAnimationFrame(frame);
  });
}

async function measure(rate, query) {
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    await page.goto(`${app.url}?node=${node.url}&${query}`);
    await page.locator('.row[data-status="live"]').nth(490).waitFor({ state: 'attached', timeout: 20_000 });
    await page.waitForTimeout(SETTLE_S * 1000);
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('Performance.enable');
    const busy = async () => Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map((m) => [m.name, m.value])).TaskDuration;
    const counts = async () => Number((await page.locator('[data-id=updates]').textContent()).replace(/\D/g, ''));
    await page.evaluate(watch);
    const from = { busy: await busy(), node: cpu(node.pid), browser: cpu(process.pid) - cpu(node.pid), own: process.cpuUsage() };
    const updates = [];
    for (let s = 0; s < SECONDS; s++) {
      await page.waitForTimeout(1000);
      updates.push(await counts());
    }
    const { frames, long } = await page.evaluate(() => window.seen);
    const took = (frames.at(-1) - frames[0]) / 1000;
    const times = frames.slice(1).map((t, i) => t - frames[i]).sort((a, b) => a - b);
    const own = process.cpuUsage(from.own);
    const browserCPU = cpu(process.pid) - cpu(node.pid) - from.browser - (own.user + own.system) / 1e6;
    console.log([
      rate.padEnd(24), `${((frames.length - 1) / took).toFixed(1)} frames/s`, `p50 ${at(times, 0.5).toFixed(1)} ms`, `p95 ${at(times, 0.95).toFixed(1)} ms`, `p99 ${at(times, 0.99).toFixed(1)} ms`,
      `${long} long tasks`, `${Math.round(updates.reduce((a, b) => a + b) / updates.length)} updates/s`, `main thread ${percent((await busy() - from.busy) / took)}`,
      `browser ${percent(browserCPU / took)} of a core`, `node ${percent((cpu(node.pid) - from.node) / took)}`,
    ].join('  '));
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${query.replace('=', '-')}.png` });
  } finally {
    await browser.close();
  }
}

try {
  for (const rate of (process.argv[2] ?? '10,0').split(',')) await measure(+rate ? `${rate}/s of each symbol` : 'all updates', `rate=${rate}`);
} finally {
  node.stop();
  await app.stop();
}
