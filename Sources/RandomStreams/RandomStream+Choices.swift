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
}
