// Streams tokens into a browser with an EventSource, and prints each event.
// usage: node eventsource.mjs CHROMIUM URL CERTS TOKENS
import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, url, certs, tokens] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const context = await browser.newContext({
  ignoreHTTPSErrors: true, // the authority is one of development
  bypassCSP: true, // the page of health allows no scripts, and the test brings one
  clientCertificates: [{ origin: url, certPath: join(certs, "client_cert.pem"), keyPath: join(certs, "client_key.pem") }],
});
const page = await context.newPage();
await page.exposeFunction("say", (line) => console.log(line));
page.on("pageerror", (err) => console.log("error " + err.message));
await page.goto(url + "/livez");
await page.evaluate((tokens) => new Promise((resolve) => {
  const message = JSON.stringify({ prompt: "hello", max_tokens: tokens, token_interval: "30ms" });
  const source = new EventSource("/inference.v1.Inference/Generate?encoding=json&message=" + encodeURIComponent(message));
  source.onmessage = (event) => say(event.lastEventId + " " + event.data);
  source.onerror = () => say("connection lost");
  source.addEventListener("error", (event) => event.data && say("error " + event.data));
  source.addEventListener("end", () => {
    source.close();
    resolve();
  });
}), Number(tokens));
await browser.close();
