// fhir-kit-client against a running server: prints one JSON line per step, or fails.
import { Client } from "fhir-kit-client";

const client = new Client({ baseUrl: process.argv[2] });
const say = (step, value) => console.log(JSON.stringify({ step, value }));

const patient = {
  resourceType: "Patient",
  name: [{ family: "Kit", given: ["Ana"] }],
  identifier: [{ system: "urn:x:kit", value: "1" }],
};
const created = await client.create({ resourceType: "Patient", body: patient });
say("create", created.meta.versionId);
const read = await client.read({ resourceType: "Patient", id: created.id });
say("read", read.name[0].family);

for (let n = 0; n < 5; n += 1) {
  await client.create({
    resourceType: "Basic",
    body: { resourceType: "Basic", code: { text: `kit ${n}` }, author: { reference: `Patient/${created.id}` } },
  });
}
let page = await client.search({
  resourceType: "Basic",
  searchParams: { author: `Patient/${created.id}`, _count: 2 },
});
let seen = page.entry.length;
while ((page = await client.nextPage({ bundle: page }))) seen += page.entry.length;
say("search", seen);

const updated = await client.update({
  resourceType: "Patient",
  searchParams: { identifier: "urn:x:kit|1" },
  body: { ...patient, gender: "male" },
});
say("conditional update", [updated.id === created.id, updated.meta.versionId]);

const patched = await client.patch({
  resourceType: "Patient",
  id: created.id,
  jsonPatch: [{ op: "replace", path: "/gender", value: "female" }],
});
say("patch", patched.gender);

const urn = "urn:uuid:5b1c5c57-9b1e-4c5f-8f4d-7a110d7d0f2a";
const answer = await client.transaction({
  body: {
    resourceType: "Bundle",
    type: "transaction",
    entry: [
      { fullUrl: urn, resource: patient, request: { method: "POST", url: "Patient" } },
      {
        resource: { resourceType: "Basic", code: { text: "x" }, subject: { reference: urn } },
        request: { method: "POST", url: "Basic" },
      },
    ],
  },
});
say("transaction", answer.entry.map((e) => e.response.status.slice(0, 3)));
const linked = answer.entry[1].resource.subject.reference;
say("linked", linked === `Patient/${answer.entry[0].resource.id}`);
const history = await client.history({ resourceType: "Patient", id: created.id });
say("history", history.entry.length);
const statement = await client.capabilityStatement();
say("metadata", statement.fhirVersion);
