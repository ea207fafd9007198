# Figures and tables of the study, for any pair:
#   make figures                                   the embedded pair, into figures/
#   make figures BASE=... TUNED=... FIGURES=figures/NAME [OPTIONS="--quick --set common.dtype=bfloat16"]
#   make tradeoff                                  one of them
# Results are kept in build/ and read again; `make clean` makes the next call compute everything anew.

PYTHON ?= python
BASE ?= organism:base
TUNED ?= organism:dpo
FIGURES ?= figures
OPTIONS ?=
STUDY = weight_delta entropy_collapse patching crc_heatmaps tradeoff agreement validation

# Lineage generates with every stage, and masks are learned by gradients on many conversations: of a larger pair, call
# `make lineage` and `make mask` where they are wanted.
LONG = $(if $(filter organism:%,$(BASE)),lineage mask)

.PHONY: figures clean lineage mask $(STUDY)
.NOTPARALLEL:

figures: $(STUDY) $(LONG)

lineage mask $(STUDY):
	$(PYTHON) analyses/$@.py "$(BASE)" "$(TUNED)" --figures "$(FIGURES)" $(OPTIONS)

clean:
	rm -rf build
