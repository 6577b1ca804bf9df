// What all ranks together moved in a stretch of a run, from each rank's ledger.

package import Communication

/// What all ranks moved, by collective.
package struct WireSummary: Sendable, Equatable {
  /// One collective over all ranks.
  package struct Entry: Sendable, Equatable {
    /// Calls; the same on every rank.
    package var calls = 0
    /// Messages that all ranks sent.
    package var messages = 0
    /// Bytes that all ranks sent.
    var wireBytes = 0
    /// Bytes that the rank with most traffic sent and received.
    var largestRankWireBytes = 0
    /// Time in it, waiting included, of the rank where that was longest.
    var longestRankSeconds = 0.0
  }

  /// The collectives that were called, in a fixed order.
  package let entries: [(collective: Collective, entry: Entry)]

  /// Bytes that all ranks sent.
  var wireBytes: Int { entries.reduce(0) { $0 + $1.entry.wireBytes } }
  /// Messages that all ranks sent.
  package var messages: Int { entries.reduce(0) { $0 + $1.entry.messages } }

  /// Sums the ledgers of all ranks.
  ///
  /// - Communication: One all-gather of 288 bytes a rank; it is in no ledger if `communicator`
  ///   counts nothing.
  package init(_ ledger: WireLedger, over communicator: any Communicator) throws {
    let own = Collective.allCases.flatMap { collective -> [UInt64] in
      let entry = ledger[collective]
      let counts = [
        entry.calls, entry.messagesSent, entry.messagesReceived, entry.wireBytesSent,
        entry.wireBytesReceived,
      ]
      return counts.map { UInt64($0) } + [entry.wallSeconds.bitPattern]
    }
    let all = try communicator.allGather(values: own)
    entries = Collective.allCases.enumerated().compactMap { place, collective in
      var entry = Entry()
      for rank in 0..<communicator.size {
        let start = rank * own.count + place * 6
        let counts = (0..<5).map { Int(all[start + $0]) }
        entry.calls = max(entry.calls, counts[0])
        entry.messages += counts[1]
        entry.wireBytes += counts[3]
        entry.largestRankWireBytes = max(entry.largestRankWireBytes, counts[3] + counts[4])
        entry.longestRankSeconds = max(
          entry.longestRankSeconds, Double(bitPattern: all[start + 5]))
      }
      return entry.calls == 0 ? nil : (collective, entry)
    }
  }

  /// Whether both have the same entries.
  package static func == (a: WireSummary, b: WireSummary) -> Bool {
    a.entries.elementsEqual(b.entries) { $0.collective == $1.collective && $0.entry == $1.entry }
  }
}
