// Kernels and models on an OpenCL device, bit by bit against the CPU. PoCL (Debian:
// pocl-opencl-icd) is such a device on every machine.

import Adapters
import FineTuning
import Kernels
import OpenCLDevices
import TestSupport
import Testing
import Transformers

/// The device of the tests: the first of the machine; nil if there is none.
enum TestDevice {
  nonisolated(unsafe) static let device: OpenCLDevice? = {
    guard let found = try? openCLDevices().first(where: { $0.reasonAgainst == nil }),
      let device = try? OpenCLDevice(found)
    else { return nil }
    KernelDevices.use(device)
    return device
  }()
  static var isThere: Bool { device != nil }
  static let remedy: Comment = "no OpenCL device (Debian: apt install pocl-opencl-icd)"
}

@Suite("OpenCL devices", .serialized, .enabled(if: TestDevice.isThere, TestDevice.remedy))
struct DeviceTests {
  @Test("each kernel gives the bits of the CPU", arguments: DeviceSelfTest.cases.map(\.name))
  func kernel(_ name: String) throws {
    let test = try #require(DeviceSelfTest.cases.first { $0.name == name })
    #expect(DeviceSelfTest.differences(test, on: try #require(TestDevice.device)) == 0)
  }

  @Test(
    "losses, gradients and logits of a model have the bits of the CPU",
    arguments: Golden.names)
  func golden(_ name: String) throws {
    let golden = try Golden(name)
    let device = try #require(TestDevice.device)
    let (cpu, other) = (golden.adaptedModel(), golden.adaptedModel(device: device))
    let scale = 1 / Float(golden.items)
    var expected = [Float](repeating: 0, count: golden.vector.count)
    var found = expected
    let outcomes = cpu.addGradient(
      of: golden.batch, labels: golden.labels, parameters: golden.vector, gradient: &expected,
      lossScale: scale)
    let same = other.addGradient(
      of: golden.batch, labels: golden.labels, parameters: golden.vector, gradient: &found,
      lossScale: scale)
    #expect(outcomes == same)
    #expect(different(expected, found) == 0)
    let logits = cpu.logits(golden.batch, parameters: golden.vector)
    #expect(different(logits, other.logits(golden.batch, parameters: golden.vector)) == 0)
    #expect(
      cpu.evaluate(golden.batch, labels: golden.labels, parameters: golden.vector)
        == other.evaluate(golden.batch, labels: golden.labels, parameters: golden.vector))
  }

  @Test("gradients of all weights have the bits of the CPU", arguments: Golden.names)
  func full(_ name: String) throws {
    let golden = try Golden(name)
    let device = try #require(TestDevice.device)
    let layout = try TrainableLayout(model: golden.model, adaptation: .full, task: golden.task)
    let weights = try layout.untrainedWeights(of: golden.model)
    func gradient(_ device: OpenCLDevice?) -> [Float] {
      let model = AdaptedModel(
        model: golden.model, layout: layout, task: golden.task,
        capacity: golden.batch.tokenCount,
        longestSequence: golden.sequences.map(\.count).max()!, device: device)
      var gradient = [Float](repeating: 0, count: layout.parameterCount)
      _ = model.addGradient(
        of: golden.batch, labels: golden.labels, parameters: weights, gradient: &gradient,
        lossScale: 1 / Float(golden.items))
      return gradient
    }
    #expect(different(gradient(nil), gradient(device)) == 0)
  }

  @Test("packed weights have the bits of the CPU", arguments: [MatrixFormat.q8_0, .q4_0, .q4_1])
  func packed(_ format: MatrixFormat) throws {
    let device = try #require(TestDevice.device)
    var count = 0
    for name in Golden.names {
      let sizes = try Golden(name).model
      guard sizes.weights.linears.allSatisfy({ $0.inputs % 32 == 0 }) else { continue }
      count += 1
      let golden = try Golden(name, precision: format)
      func gradient(_ device: OpenCLDevice?) -> [Float] {
        var gradient = [Float](repeating: 0, count: golden.vector.count)
        _ = golden.adaptedModel(device: device).addGradient(
          of: golden.batch, labels: golden.labels, parameters: golden.vector, gradient: &gradient,
          lossScale: 1 / Float(golden.items))
        return gradient
      }
      #expect(different(gradient(nil), gradient(device)) == 0, "\(name)")
    }
    #expect(count > 0, "no golden has sizes that blocks of 32 divide")
  }

  @Test("models on one device share copies of weights, and each frees its own")
  func sharing() throws {
    let golden = try Golden("llama_lm_tied")
    let device = try #require(TestDevice.device)
    let logits = golden.adaptedModel().logits(golden.batch, parameters: golden.vector)
    var first: AdaptedModel? = golden.adaptedModel(device: device)
    let second = golden.adaptedModel(device: device)
    #expect(first?.logits(golden.batch, parameters: golden.vector) == logits)
    first = nil
    #expect(second.logits(golden.batch, parameters: golden.vector) == logits)
  }

  @Test("base weights that are replaced are those that a device computes with")
  func replaced() throws {
    let golden = try Golden("llama_lm_tied")
    let device = try #require(TestDevice.device)
    let (cpu, other) = (golden.adaptedModel(), golden.adaptedModel(device: device))
    let place = LinearPlace(role: .query, layer: 0)
    let linear = try #require(golden.model.linear(at: place))
    let count = linear.inputs * linear.outputs
    let memory = MutableFloats.allocate(capacity: count)
    defer { memory.deallocate() }
    // The same memory with other values: what was copied before no longer counts.
    for factor in [Float(1.5), -2] {
      for index in 0..<count { memory[index] = linear.weight.floats![index] * factor }
      let model = golden.model.replacing([place: Floats(memory)], owner: nil)
      (cpu.model, other.model) = (model, model)
      let logits = cpu.logits(golden.batch, parameters: golden.vector)
      #expect(different(logits, other.logits(golden.batch, parameters: golden.vector)) == 0)
      #expect(logits != golden.adaptedModel().logits(golden.batch, parameters: golden.vector))
    }
  }

  private func different(_ a: [Float], _ b: [Float]) -> Int {
    a.count == b.count ? zip(a, b).count { $0.bitPattern != $1.bitPattern } : .max
  }
}

@Suite("Regions of a device's memory")
struct DeviceRegionTests {
  @Test("addresses are found within regions alone, and freed ones are given again")
  func regions() {
    var regions = DeviceRegions()
    let memory = UnsafeMutableRawPointer(bitPattern: 64)!
    func add(_ start: UInt, _ count: Int) {
      regions.add(DeviceRegion(start: start, byteCount: count, memory: memory))
    }
    add(300, 10)
    add(100, 50)
    #expect(regions.find(99) == nil)
    #expect(regions.find(100)?.start == 100)
    #expect(regions.find(149)?.start == 100)
    #expect(regions.find(150) == nil)
    #expect(regions.find(309)?.start == 300)
    #expect(regions.find(310) == nil)
    #expect(regions.gap(of: 100, in: 100..<1000) == 150)
    #expect(regions.gap(of: 151, in: 100..<1000) == 310)
    #expect(regions.gap(of: 691, in: 100..<1000) == nil)
    #expect(regions.remove(start: 101) == nil)
    #expect(regions.remove(start: 100)?.byteCount == 50)
    #expect(regions.gap(of: 200, in: 100..<1000) == 100)
  }
}
