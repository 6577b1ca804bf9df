// Orders and samples. Written out here, since the standard library promises no algorithm for its
// own.

extension RandomStream {
  /// Puts `array` into a uniformly random order.
  ///
  /// Fisher and Yates as by Durstenfeld (1964): for i from the last index down to 1, element i
  /// changes places with element `integer(below: i + 1)`.
  public mutating func shuffle<Element>(_ array: inout [Element]) {
    for last in stride(from: array.count - 1, to: 0, by: -1) {
      array.swapAt(last, integer(below: last + 1))
    }
  }

  /// `count` different integers of 0 ..< `population`, ascending; every such set is equally likely.
  ///
  /// Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 30, 1987): for j from
  /// `population - count` up, t = `integer(below: j + 1)` joins the set, or j itself where t is
  /// already in it.
  /// - Complexity: O(`count`) memory, whatever the population.
  /// - Precondition: 0 <= `count` <= `population`.
  public mutating func sample(_ count: Int, of population: Int) -> [Int] {
    precondition(count >= 0 && count <= population, "a sample of \(count) of \(population)")
    var chosen: Set<Int> = []
    chosen.reserveCapacity(count)
    for last in population - count..<population {
      let drawn = integer(below: last + 1)
      if !chosen.insert(drawn).inserted { chosen.insert(last) }
    }
    return chosen.sorted()
  }

  /// Up to `count` different integers of 0 ..< `population` that `isAllowed`, ascending; fewer only
  /// where there are no more. Every such set is equally likely.
  ///
  /// Candidates come in a uniformly random order and those not allowed are passed over: Fisher and
  /// Yates' shuffle from the front, of which only the places that changed are kept.
  /// - Complexity: O(c) time and memory for c candidates looked at, about `count` over the share of
  ///   those allowed, whatever the population.
  /// - Precondition: `count` and `population` are not negative.
  public mutating func sample(
    upTo count: Int, of population: Int, where isAllowed: (Int) -> Bool
  ) -> [Int] {
    precondition(count >= 0 && population >= 0, "a sample of \(count) of \(population)")
    var moved: [Int: Int] = [:]
    var chosen: [Int] = []
    var place = 0
    while place < population, chosen.count < count {
      let drawn = place + integer(below: population - place)
      let candidate = moved[drawn] ?? drawn
      moved[drawn] = moved[place] ?? place
      moved[place] = nil
      if isAllowed(candidate) { chosen.append(candidate) }
      place += 1
    }
    return chosen.sorted()
  }
}
