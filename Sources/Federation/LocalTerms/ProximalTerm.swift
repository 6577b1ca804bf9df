// FedProx (Li et al. 2020, "Federated optimization in heterogeneous networks", equation 2): the term
// mu/2 ||p - start||^2 of the local loss.

/// FedProx's proximal term.
package struct ProximalTerm: LocalTerm {
  /// mu, the weight of the term.
  private let mu: Float

  /// The term of weight `mu`; nil for 0.
  package init?(mu: Float) {
    guard mu != 0 else { return nil }
    self.mu = mu
  }

  /// FedProx's term of the plan; nil if its weight is 0.
  package init?(_ plan: FederationPlan, _ client: LocalTermClient) {
    self.init(mu: plan.local.proximal)
  }

  /// Adds mu (p - start).
  package func addGradient(
    at parameters: UnsafeBufferPointer<Float>, from start: UnsafeBufferPointer<Float>,
    into gradient: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(
      parameters.count == gradient.count && start.count == gradient.count,
      "\(parameters.count) parameters and \(start.count) of the start for \(gradient.count)")
    guard let p = parameters.baseAddress, let s = start.baseAddress, let g = gradient.baseAddress
    else { return }
    for i in 0..<gradient.count { g[i] += mu * (p[i] - s[i]) }
  }
}
