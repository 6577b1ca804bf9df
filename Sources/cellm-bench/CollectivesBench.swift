// Run under mpirun: the sum of all ranks' uploads at rank 0, by every way that the program has, against
// MPI's own dense reductions of float vectors of the same length; and the link between two ranks.
//
// Each rank has the encoded upload of one client, of random coordinates: supports that overlap by chance
// only, which is the worst case for a sparse sum. Ours is timed from those messages to the words of the
// exact sum at rank 0, decoding included; MPI's from a vector of floats to their (inexact) sum. All
// ways take turns in each repeat, so that what else runs on the machine disturbs them alike.

import ArgumentParser
import Communication
import Federation
import Foundation
import MPICommunication
import RandomStreams
import Sparsity

struct LinkBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "link", abstract: "Times messages between ranks 0 and 1 (under mpirun).")
  @Option(parsing: .upToNextOption, help: "Sizes of the messages, in bytes.")
  var bytes = [8, 1024, 16_384, 65_536, 262_144, 1 << 20, 1 << 22, 1 << 24]
  @Option(help: "Counted repeats.") var repeats = 5
  @Option(help: "Size from which the gap per byte is taken.") var largeBytes = 1 << 24

  func run() throws {
    let comm = try MPIRuntime.initialize()
    guard comm.size > 1 else { throw ValidationError("two ranks are needed: mpirun -np 2") }
    let peer = try HostLayout(of: comm).leaders.dropFirst().first ?? 1
    let link = try LinkModel(
      between: 0, and: peer, over: comm, largeBytes: largeBytes, repeats: repeats)
    for bytes in bytes {
      let seconds = try LinkModel.seconds(bytes, repeats, 0, peer, comm)
      guard comm.rank == 0 else { continue }
      let modelled = link.seconds(bytes: bytes)
      report(
        "link \(bytes) bytes: \(short(seconds * 1e3, 4)) ms, modelled "
          + "\(short(modelled * 1e3, 4)) ms, \(short(Double(bytes) / seconds / 1e6, 4)) MB/s",
        [
          ("bench", "link"), ("bytes", "\(bytes)"), ("seconds", short(seconds)),
          ("modelled_seconds", short(modelled)), ("latency_seconds", short(link.latencySeconds)),
          ("seconds_per_byte", short(link.secondsPerByte)),
        ])
    }
    try MPIRuntime.finalize()
  }
}

struct CollectivesBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "collectives",
    abstract: "Times sums of sparse uploads against dense reductions (under mpirun).")
  @OptionGroup var options: SparsityOptions
  @Option(help: "Part of each rank's support that all ranks have in common: 0 to 1.")
  var common = 0.0

  func run() throws {
    let comm = try MPIRuntime.initialize()
    let layout = try HostLayout(of: comm)
    let link =
      layout.hosts.count > 1
      ? try LinkModel(between: 0, and: layout.leaders[1], over: comm)
      : LinkModel(latencySeconds: 0, secondsPerByte: 0)
    let words = try comm.nodeSharedWords(count: options.length)
    let whole = vector(ofRank: comm.rank)
    if comm.rank == 0 {
      print(
        "\(comm.size) ranks on \(layout.hosts.count) hosts, \(options.length) coordinates, link "
          + "\(short(link.latencySeconds * 1e6, 3)) us, "
          + "\(short(1e-6 / max(link.secondsPerByte, 1e-12), 4)) MB/s; milliseconds, median of "
          + "\(options.repeats)")
    }
    for divisor in options.divisors {
      let mask = support(options.length / divisor, ofRank: comm.rank)
      let upload = whole.withUnsafeBufferPointer { SparseVector(gathering: $0, at: mask) }
      let message = VectorCodec.encode(upload).bytes
      let largest = try comm.maximum(Double(upload.largestMagnitude))
      let bytes = try comm.allGather(values: [message.count])
      let costs = UploadCosts(
        length: options.length, layout: layout, link: link,
        loads: bytes.map {
          var load = UploadCosts.Load()
          (load.bytes, load.kept) = ($0, [mask.count])
          return load
        })
      var contest = Contest(
        comm: comm, layout: layout, words: words, message: message,
        bytes: bytes.reduce(0, +),
        scale: FixedPointScale(largestMagnitude: Float(largest), totalWeight: comm.size),
        dense: upload.dense())
      try contest.run(repeats: options.repeats)
      if comm.rank == 0 { show(contest, divisor, costs) }
    }
    try compareDownloads(comm, layout)
    try MPIRuntime.finalize()
  }

  /// The dense message of a download from rank 0: MPI's broadcast against the chain of hosts.
  private func compareDownloads(_ comm: MPICommunicator, _ layout: HostLayout) throws {
    var bytes = [UInt8](repeating: UInt8(comm.rank == 0 ? 7 : 0), count: 4 * options.length)
    var seconds: [[Double]] = [[], []]
    for number in 0...options.repeats {
      for way in 0..<2 {
        try comm.barrier()
        let start = ContinuousClock.now
        if way == 0 {
          try bytes.withUnsafeMutableBytes { try comm.broadcast($0, root: 0) }
        } else {
          try comm.broadcastAlongHosts(&bytes, layout)
        }
        try comm.barrier()
        if number > 0 { seconds[way].append((ContinuousClock.now - start) / .seconds(1)) }
      }
    }
    precondition(bytes.count == 4 * options.length && bytes.allSatisfy { $0 == 7 }, "other bytes")
    guard comm.rank == 0 else { return }
    let (mpi, ours) = (median(seconds[0]), median(seconds[1]))
    report(
      "download of \(bytes.count) bytes: \(short(ours * 1e3)) ms; MPI_Bcast \(short(mpi * 1e3)) = "
        + "\(short(mpi / ours, 3))x",
      [
        ("bench", "download"), ("ranks", "\(comm.size)"), ("hosts", "\(layout.hosts.count)"),
        ("bytes", "\(bytes.count)"), ("seconds_median", short(ours)),
        ("broadcast_seconds_median", short(mpi)), ("ratio", short(mpi / ours)),
      ])
  }

  /// `count` coordinates, of which a part is the same on all ranks.
  private func support(_ count: Int, ofRank rank: Int) -> SupportMask {
    func sample(_ count: Int, _ client: Int) -> [Int] {
      var stream = RandomStream(seed: 1, purpose: .selection, round: count, client: client)
      return stream.sample(count, of: options.length)
    }
    var isKept = [Bool](repeating: false, count: options.length)
    let shared = sample(Int(common * Double(count)), 0)
    for place in shared { isKept[place] = true }
    let own = sample(count, rank + 1).filter { !isKept[$0] }
    // Ascending as they come: every so many of them, so that no end is left out.
    let wanted = count - shared.count
    for i in 0..<min(wanted, own.count) { isKept[own[i * own.count / max(1, wanted)]] = true }
    return SupportMask(
      length: options.length,
      indices: isKept.indices.lazy.filter { isKept[$0] }.map { UInt32($0) })
  }

  /// A vector that looks like a client delta, another one for each rank.
  private func vector(ofRank rank: Int) -> [Float] {
    var stream = RandomStream(seed: 1, purpose: .noise, client: rank)
    return (0..<options.length).map { _ in Float(stream.normal()) * 1e-3 }
  }

  private func show(_ contest: Contest, _ divisor: Int, _ costs: UploadCosts) {
    let best = costs.best
    func seconds(_ way: Contest.Way) -> Double { median(contest.seconds[way]!) }
    let (reduce, allReduce) = (seconds(.reduce), seconds(.allReduce))
    for way in contest.ways {
      guard case .ours(let collective) = way else { continue }
      let (ours, modelled) = (seconds(way), costs.seconds(collective))
      report(
        "1/\(divisor) \(collective.rawValue)\(collective == best ? " (auto)" : ""): "
          + "\(short(ours * 1e3)) ms, modelled \(short(modelled * 1e3)); MPI_Reduce "
          + "\(short(reduce * 1e3)) = \(short(reduce / ours, 3))x, MPI_Allreduce "
          + "\(short(allReduce * 1e3)) = \(short(allReduce / ours, 3))x",
        [
          ("bench", "collectives"), ("ranks", "\(contest.comm.size)"),
          ("hosts", "\(costs.layout.hosts.count)"), ("length", "\(costs.length)"),
          ("density", short(1 / Double(divisor))), ("uploads", collective.rawValue),
          ("is_auto", collective == best ? "1" : "0"), ("seconds_median", short(ours)),
          ("modelled_seconds", short(modelled)), ("reduce_seconds_median", short(reduce)),
          ("all_reduce_seconds_median", short(allReduce)), ("reduce_ratio", short(reduce / ours)),
          ("all_reduce_ratio", short(allReduce / ours)),
        ])
    }
  }
}

/// The ways of one sum, timed in turn.
private struct Contest {
  enum Way: Hashable {
    case reduce, allReduce
    case ours(UploadCollective)
  }

  let comm: MPICommunicator
  let layout: HostLayout
  let words: NodeSharedWords
  let message: [UInt8]
  /// The bytes of all ranks' messages.
  let bytes: Int
  let scale: FixedPointScale
  var dense: [Float]
  let ways: [Way] =
    [.reduce, .allReduce]
    + [.gather, .hostSums, .recursiveDoubling, .pipeline].map { Way.ours($0) }
  var seconds: [Way: [Double]] = [:]

  /// Times all ways; the first repeat is not counted.
  mutating func run(repeats: Int) throws {
    var sum = [Float](repeating: 0, count: dense.count)
    var gathered = [Int64](repeating: 0, count: comm.rank == 0 ? dense.count : 0)
    var expected: [Int64]?
    for number in 0...repeats {
      // Each way comes first in some repeat: what ran before leaves caches and pages behind.
      for place in ways.indices {
        let way = ways[(place + number) % ways.count]
        var values = dense
        try comm.barrier()
        let start = ContinuousClock.now
        switch way {
        case .reduce: try comm.reduceInexactly(dense, into: &sum)
        case .allReduce: try comm.allReduceInexactly(&values)
        case .ours(.gather):
          func take(_ rank: Int, _ index: Int, _ message: [UInt8]) throws {
            let upload = try VectorCodec.decode(message, expectedLength: dense.count)
            gathered.withUnsafeMutableBufferPointer { scale.add(upload, to: $0) }
          }
          if bytes <= UploadCosts.longestStreamBytes {
            let counts = Array(repeating: 1, count: comm.size)
            try comm.streamGather([message], counts: counts, each: take)
          } else {
            try comm.sparseGather([message], each: take)
          }
        case .ours(let collective): try addUp(collective.tree!)
        }
        try comm.barrier()
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        if number > 0 { seconds[way, default: []].append(elapsed) }
        if case .ours(let collective) = way, comm.rank == 0 {
          let found = collective.addsUp ? Array(words.words) : gathered
          precondition(expected == nil || expected == found, "\(collective): another sum")
          expected = found
        }
        gathered.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        if comm.node.rank == 0 { words.clear() }
        try comm.barrier()
      }
    }
  }

  private func addUp(_ shape: TreeShape) throws {
    let upload = try VectorCodec.decode(message, expectedLength: dense.count)
    if words.isPrivate {
      scale.add(upload, to: words.words)
    } else {
      scale.addAtomically(
        upload, to: words.words, from: Double(comm.node.rank) / Double(comm.node.size))
    }
    try comm.barrier()
    let tree = RankTree(of: comm.rank, in: layout, shape: shape) { layout.hosts[$0].count > 1 }
    try comm.sumAlong(tree, words.words)
  }
}
