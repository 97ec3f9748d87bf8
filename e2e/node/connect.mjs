// Calls greeting.v1.Greeting/Hello with the client of Connect, in JSON.
// usage: node connect.mjs URL CERTS TOKEN HTTP-VERSION
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createFileRegistry, fromJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

const [url, certs, token, httpVersion] = process.argv.slice(2);

// The contract as a .proto file would have it.
const text = (name, number) => ({ name, number, type: "TYPE_STRING", label: "LABEL_OPTIONAL", jsonName: name });
const files = createFileRegistry(fromJson(FileDescriptorSetSchema, {
  file: [{
    name: "greeting.proto", package: "greeting.v1", syntax: "proto3",
    messageType: [
      { name: "HelloRequest", field: [text("name", 1)] },
      { name: "HelloResponse", field: [text("text", 1)] },
    ],
    service: [{
      name: "Greeting",
      method: [{
        name: "Hello", inputType: ".greeting.v1.HelloRequest", outputType: ".greeting.v1.HelloResponse",
        options: { idempotencyLevel: "NO_SIDE_EFFECTS" },
      }],
    }],
  }],
}));

function client(useHttpGet, bearer) {
  const transport = createConnectTransport({
    baseUrl: url, httpVersion, useBinaryFormat: false, useHttpGet,
    nodeOptions: { ca: readFileSync(join(certs, "ca.pem")) },
    interceptors: [(next) => (req) => {
      req.header.set("Authorization", "Bearer " + bearer);
      return next(req);
    }],
  });
  return createClient(files.getService("greeting.v1.Greeting"), transport);
}

async function say(call) {
  try {
    console.log((await call).text);
  } catch (err) {
    const e = ConnectError.from(err);
    if (e.code === Code.DeadlineExceeded) { // the message is of whoever noticed first
      console.log(Code[e.code]);
      return;
    }
    console.log(Code[e.code] + ": " + e.rawMessage + e.details.map((d) => " " + d.type + " " + JSON.stringify(d.debug)).join(""));
  }
}

for (const useHttpGet of [false, true]) {
  const c = client(useHttpGet, token);
  await say(c.hello({ name: "Ada" }));
  await say(c.hello({}));
  await say(c.hello({ name: "slow" }, { timeoutMs: 100 }));
}
await say(client(false, "wrong").hello({ name: "Ada" }));
process.exit(0); // the sessions of HTTP/2 stay open
