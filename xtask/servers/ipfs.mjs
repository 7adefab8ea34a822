// Starts a node of js-ipfs with its HTTP interface; arguments: port, folder for its data.
// Nothing of it leaves this machine: it is offline, and knows no other node.

// Node 22 has it; what a package calls it with is no more than this.
Promise.withResolvers ??= () => {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

const [port, repo] = process.argv.slice(2)
const { create } = await import('ipfs-core')
const { HttpApi } = await import('ipfs-http-server')
const api = `/ip4/127.0.0.1/tcp/${port}`
const node = await create({
  repo,
  offline: true,
  silent: true,
  config: { Addresses: { Swarm: [], API: api, Gateway: '' }, Bootstrap: [] }
})
await new HttpApi(node).start()
