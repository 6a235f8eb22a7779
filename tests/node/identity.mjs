// The identity provider of a clinic, on loopback: `node identity.mjs PORT REDIRECT`.
// Whoever signs in by a name below is that person, with any password; groups are told by UserInfo.
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const people = {
  fran: { name: 'Fran Desk', groups: ['Front Desk', 'Everybody'] },
  bea: { name: 'Bea Billing', groups: ['Billing Team'] },
  pam: { name: 'Pam Payers', groups: ['payer-people'] },
  nobody: { name: 'Noah Body', groups: ['Everybody'] },
};

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'inforce',
      client_secret: 'a-secret-of-tests-only',
      redirect_uris: [redirect],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  claims: { openid: ['sub'], profile: ['name', 'groups'] },
  cookies: { keys: ['of-tests-only'] },
  features: { devInteractions: { enabled: true } },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, ...people[id] }),
  }),
  pkce: { required: () => true },
});
provider.listen(Number(port), '127.0.0.1');
