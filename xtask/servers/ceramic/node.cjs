// A js-ceramic node on loopback, offline, with an IPFS node in the same process: no port but its own.
// (The daemon that the package brings opens ports on all interfaces.)
//
// usage: node node.cjs PORT STATE_DIR
// Port 0 is any free port. Prints `READY <port>` when it listens. It stops cleanly when its standard
// input ends or on SIGTERM, so it never outlives the test that started it.
const fs = require('fs')
const path = require('path')
const IPFS = require('ipfs-core')
const dagJose = require('dag-jose').default
const { convert } = require('blockcodec-to-ipld-format')
const Ceramic = require('@ceramicnetwork/core').default
const { CeramicDaemon, makeCeramicConfig } = require('@ceramicnetwork/cli/lib/ceramic-daemon')
const { DaemonConfig } = require('@ceramicnetwork/cli/lib/daemon-config')
const KeyDidResolver = require('key-did-resolver').default
const { DID } = require('dids')

async function main () {
  const port = Number(process.argv[2])
  const dir = path.resolve(process.argv[3])
  const streams = path.join(dir, 'streams')
  fs.mkdirSync(streams, { recursive: true })
  const options = DaemonConfig.fromObject({
    anchor: {},
    'http-api': { hostname: '127.0.0.1', port, 'cors-allowed-origins': [] },
    ipfs: {},
    logger: { 'log-level': 2, 'log-to-files': false },
    network: { name: 'inmemory' },
    node: {},
    'state-store': { mode: 'fs', 'local-directory': streams }
  })
  const ipfs = await IPFS.create({
    repo: path.join(dir, 'ipfs'),
    silent: true,
    preload: { enabled: false },
    ipld: { formats: [convert(dagJose)] },
    libp2p: {
      config: {
        dht: { enabled: false },
        pubsub: { enabled: true },
        peerDiscovery: {
          autoDial: false,
          bootstrap: { enabled: false },
          mdns: { enabled: false },
          webRTCStar: { enabled: false }
        }
      }
    },
    config: {
      Addresses: { Swarm: [], Delegates: [] },
      Bootstrap: [],
      Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: false } }
    }
  })
  const [modules, params] = Ceramic._processConfig(ipfs, makeCeramicConfig(options))
  const ceramic = new Ceramic(modules, params)
  await ceramic._init(true)
  await ceramic.setDID(new DID({ resolver: KeyDidResolver.getResolver() }))
  const daemon = new CeramicDaemon(ceramic, options)
  // The daemon takes port 0 for none and would use 7007.
  daemon.port = port
  await daemon.listen()
  console.log('READY', daemon.server.address().port)

  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(0), 5000).unref()
    try {
      daemon.server.close()
      await ceramic.close()
      await ipfs.stop()
    } catch (e) {
      console.error(e)
    }
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop)
  process.stdin.once('end', stop)
  process.stdin.resume()
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
