// What clients remember: the support of the last download that each received. The server keeps the
// same, once for all clients that received the same support last, encoded: for P clients and R rounds at most
// min(P, R times the kinds of clients) supports of about n H(density) bits (EncodedSupport.swift).
// A client that never comes back keeps its support alive, since it may come back in any round.
public import Sparsity

/// The supports that clients know.
public struct ClientKnowledge: Sendable {
  /// The number of the support that each client received last.
  public private(set) var numbers: [Int: Int] = [:]
  /// The supports that are some client's latest, by number.
  public private(set) var supports: [Int: EncodedSupport] = [:]
  private var numbersOfSupports: [EncodedSupport: Int] = [:]
  private var clientCounts: [Int: Int] = [:]
  private var nextNumber = 0

  /// No client knows a support.
  public init() {}

  /// What was saved: the number of each client's support, and the supports by number.
  ///
  /// - Precondition: every number has a support.
  public init(numbers: [Int: Int], supports: [Int: EncodedSupport]) {
    for (client, number) in numbers.sorted(by: { $0.key < $1.key }) {
      guard let support = supports[number] else {
        preconditionFailure("no support \(number) for client \(client)")
      }
      learn([client], support)
    }
  }

  /// The support of a client's last download; nil where it has received none.
  func support(of client: Int, length: Int) throws -> SupportMask? {
    try numbers[client].flatMap { supports[$0] }?.support(length: length)
  }

  /// Clients receive a download of this support; drops supports that are no client's latest.
  mutating func learn(_ clients: [Int], _ support: EncodedSupport) {
    guard !clients.isEmpty else { return }
    let number = numbersOfSupports[support] ?? nextNumber
    if number == nextNumber {
      nextNumber += 1
      numbersOfSupports[support] = number
      supports[number] = support
    }
    clientCounts[number, default: 0] += clients.count
    for client in clients {
      if let last = numbers.updateValue(number, forKey: client) { release(last) }
    }
  }

  private mutating func release(_ number: Int) {
    guard let count = clientCounts[number] else { preconditionFailure("support \(number) is gone") }
    if count > 1 {
      clientCounts[number] = count - 1
    } else {
      clientCounts[number] = nil
      if let support = supports.removeValue(forKey: number) { numbersOfSupports[support] = nil }
    }
  }
}

extension ClientKnowledge: Equatable {
  /// Whether every client knows the same in both; numbers do not count.
  public static func == (a: ClientKnowledge, b: ClientKnowledge) -> Bool {
    a.numbers.count == b.numbers.count
      && a.numbers.allSatisfy { client, number in
        a.supports[number] == b.numbers[client].flatMap { b.supports[$0] }
      }
  }
}
