# The short runs of tiny models whose digests are in Tests/MPI/levels.digests. Source it after checks.bash:
# it writes $scratch/NAME.yaml for llama, private, flex and language.

# experiment NAME GOLDEN: a short run of a tiny model; further lines of YAML come from standard input.
experiment() {
  local golden=$PWD/Tests/Goldens/federation/$2
  {
    echo "model: {path: $golden/model}"
    echo "data: {path: $golden/corpus, max_length: 16}"
    cat
  } > "$scratch/$1.yaml"
}
# Draws of all kinds: a Dirichlet partition, lognormal devices, dropout, noise of privacy.
experiment llama llama_adam_w << 'YAML'
partition: {kind: dirichlet, clients: 6, alpha: 0.3}
adapter: {lora_rank: 2, alpha: 8, dropout: 0.1}
method: {download: {density: 0.25}, upload: {density: 0.125}, residual: kept}
federation: {rounds: 4, cohort_size: 4, server: {optimizer: adam_w, learning_rate: 0.005}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.2, momentum: 0.9}
evaluation: {every: 2, splits: [test]}
system: {kind: drawn, download: {median: 2000, sigma: 0.5}, upload: 1000, latency: 0.1,
  tokens_per_second: {median: 100, sigma: 0.75}, unavailability: 0.1, dropout: 0.2, deadline: 3}
YAML
experiment private bert_adam_w << 'YAML'
partition: {kind: iid, clients: 6}
adapter: {lora_rank: 4, alpha: 4}
method: {upload: {density: 1}}
federation: {rounds: 3, cohort_size: 4, server: {optimizer: sgd, learning_rate: 0.5}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.1}
privacy: {clipping: fixed, clip: 0.05, noise_multiplier: 1.2}
evaluation: {every: 3, splits: [test]}
YAML
experiment flex flex_lora << 'YAML'
partition: {kind: dirichlet, clients: 6, alpha: 1}
adapter: {lora_rank: 4, alpha: 4}
method: {aggregation: product_mean}
federation: {rounds: 3, cohort_size: 4, server: {optimizer: sgd, learning_rate: 1}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.1}
evaluation: {every: 3, splits: [test]}
YAML
experiment language llama_lm << 'YAML'
task: {kind: language_modelling}
partition: {kind: iid, clients: 4}
adapter: {kind: full}
method: {upload: {density: 0.25, values: int8}}
federation: {rounds: 3, cohort_size: 4, server: {optimizer: adam_w, learning_rate: 0.001}}
local: {epochs: 1, batch_size: 4, learning_rate: 0.1, optimizer: adam_w}
evaluation: {every: 3, splits: [test]}
YAML
