// swift-tools-version: 6.1
// One target, one job; arrows point one way (docs/architecture.md).
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("ExistentialAny"),
]

/// A library target of ours: its name, and the targets it may name.
func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// The test target of a library target, in Tests/NAMETests.
func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: [.byName(name: name)] + dependencies,
    swiftSettings: settings)
}

let package = Package(
  name: "cellm-mpi",
  products: [.executable(name: "cellm-mpi", targets: ["cellm-mpi"])],
  traits: [
    .trait(name: "oneDNN", description: "bf16 products through oneDNN (Debian: libdnnl-dev)")
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CMPISystem", pkgConfig: "mpi-c", providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .target(name: "CMPIShim", dependencies: ["CMPISystem"]),
    .target(
      name: "CDNNLShim",
      cSettings: [.define("CELLM_ONEDNN", .when(traits: ["oneDNN"]))],
      linkerSettings: [.linkedLibrary("dnnl", .when(traits: ["oneDNN"]))]),
    .target(name: "CKernels"),
    .target(name: "CDeviceKernels", exclude: ["OpenCL"]),
    .target(name: "COpenCL"),

    library("Kernels", ["CKernels", "COpenBLAS", "CDNNLShim"]),
    library("OpenCLDevices", ["Kernels", "COpenCL", "CDeviceKernels"]),
    library("Safetensors"),
    library("GGUF", ["Safetensors"]),
    library("Elementary"),
    library("RandomStreams", ["Elementary"]),
    library("Digests"),
    library("Transformers", ["Kernels", "Safetensors", "GGUF", "Elementary"]),
    library("Adapters", ["Transformers", "Kernels", "Safetensors", "GGUF", "RandomStreams"]),
    library("Sparsity"),
    library("Communication", ["Sparsity"]),
    library("MPICommunication", ["Communication", "CMPIShim"]),
    library("Corpora", ["Safetensors", "RandomStreams", "Elementary"]),
    .target(
      name: "EventFiles",
      dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: ["event.proto"], swiftSettings: settings),
    library(
      "Federation",
      ["Corpora", "Communication", "Sparsity", "RandomStreams", "Elementary", "Digests"]),
    library(
      "FineTuning",
      ["Federation", "Adapters", "Transformers", "Kernels", "Corpora", "RandomStreams"]),
    library("Files", ["Communication", "Safetensors"]),
    library(
      "Configuration",
      [
        "Federation", "FineTuning", "Adapters", "Transformers", "Kernels", "Corpora",
        "Communication", "Sparsity", "Safetensors", "RandomStreams", "Files",
        .product(name: "Yams", package: "Yams"),
      ]),
    library(
      "RunFiles",
      [
        "Configuration", "Federation", "Corpora", "Communication", "Sparsity", "Safetensors",
        "Files", "Digests", "EventFiles",
      ]),
    library(
      "Experiments",
      [
        "RunFiles", "Configuration", "Files", "Digests", "FineTuning", "Federation", "Adapters",
        "Transformers", "OpenCLDevices", "Kernels", "Corpora", "Communication", "Sparsity",
        "Safetensors", "RandomStreams", "Elementary",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(
      name: "cellm-mpi",
      dependencies: [
        "Experiments", "RunFiles", "Configuration", "Files", "Federation", "Corpora", "Kernels",
        "MPICommunication",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "cellm-bench",
      dependencies: [
        "Federation", "Communication", "MPICommunication", "Sparsity", "RandomStreams", "Adapters",
        "Transformers", "OpenCLDevices", "Kernels", "Corpora", "FineTuning",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    .target(
      name: "TestSupport",
      dependencies: [
        "FineTuning", "Federation", "Communication", "Corpora", "Adapters", "Transformers",
        "Kernels", "Safetensors", "RandomStreams",
      ],
      path: "Tests/TestSupport", swiftSettings: settings),
    .target(
      name: "CommunicationConformance", dependencies: ["Communication"],
      path: "Tests/CommunicationConformance", swiftSettings: settings),
    .executableTarget(
      name: "communication-conformance",
      dependencies: ["CommunicationConformance", "MPICommunication"],
      path: "Tests/MPI/communication-conformance", swiftSettings: settings),

    tests("Kernels", ["COpenBLAS"]),
    tests("OpenCLDevices", ["Kernels", "TestSupport", "FineTuning", "Adapters"]),
    tests("Elementary"),
    tests("Safetensors", ["TestSupport"]),
    tests("GGUF", ["TestSupport", "Safetensors"]),
    tests("RandomStreams"),
    tests("Transformers"),
    tests("Adapters", ["TestSupport", "FineTuning", "Transformers", "Safetensors", "Digests"]),
    tests("Sparsity"),
    tests("Communication", ["CommunicationConformance"]),
    tests("Federation", ["TestSupport", "Sparsity", "Communication", "Corpora", "RandomStreams"]),
    tests(
      "FineTuning",
      [
        "TestSupport", "Federation", "Sparsity", "Communication", "Corpora", "Adapters",
        "Transformers", "Kernels", "Safetensors", "RandomStreams",
      ]),
    tests("Corpora", ["TestSupport", "Safetensors", "RandomStreams"]),
    tests("EventFiles", ["TestSupport"]),
    tests("Digests"),
    tests("Files", ["TestSupport"]),
    tests("RunFiles", ["TestSupport", "Files"]),
    tests("Configuration", ["Federation", "Files", "Sparsity", "Corpora"]),
    tests(
      "Experiments",
      [
        "TestSupport", "RunFiles", "Configuration", "Files", "Federation", "Communication",
        "Corpora", "EventFiles",
      ]),
  ]
)
