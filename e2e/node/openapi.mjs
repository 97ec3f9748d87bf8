// Validates the document of standard input against the schema of OpenAPI.
import { Validator } from "@seriousme/openapi-schema-validator";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const validator = new Validator();
const result = await validator.validate(JSON.parse(text));
console.log("OpenAPI", validator.version, result.valid ? "valid" : JSON.stringify(result.errors, null, 1));
