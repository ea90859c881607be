"""Bad inputs at the command line: each is one sentence with the way out and exit status 2, and nothing is written."""

from __future__ import annotations

import errno
import gzip
import json
import os
import pickle
import shlex
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from small_book import make_project
from small_tiny import tiny_files, write_tiny

from in9.data.dataset import Dataset
from in9.data.published import MASKS_FILE
from in9.data.variants import load_pool
from in9.errors import In9Error
from in9.evaluation.records import Record, Store, read
from in9.files import hash_of_file
from in9.taxonomy import imagenet_names
from in9.training.recipe import Recipe

NETWORK = "evaluate models:network --device cpu --data dataset"
BIG = "99999999999999999999"

CASES = [
    # the command itself
    ("bogus", "No such command 'bogus'"),
    ("--bogus", "No such option: --bogus"),
    ("records --bogus 1", "No such option: --bogus"),
    ("records surplus", "unexpected extra argument"),
    ("build", "Missing argument"),
    ("build synthetic", "Missing argument"),
    ("fetch", "Missing argument"),
    ("evaluate models:network", "Missing option '--data'"),
    ("records --profile", "requires an argument"),
    # where the project is
    ("IN9_HOME=nowhere records", "IN9_HOME is nowhere, which is no folder; make it, or unset the variable"),
    ("IN9_HOME=file.txt records", "IN9_HOME is file.txt, which is no folder"),
    ("IN9_HOME=LONG records", "File name too long"),
    ("IN9_HOME=nowhere book", "IN9_HOME is nowhere"),
    ("IN9_HOME=file.txt claims", "IN9_HOME is file.txt"),
    (f"IN9_HOME=nowhere {NETWORK}", "IN9_HOME is nowhere"),
    ("IN9_HOME=folder book", "There is no chapter"),
    ("IN9_HOME=folder sync", "There is no chapter"),
    # profiles
    ("book --profile contrl", "no profile 'contrl'. Did you mean 'control'?"),
    ("claims --profile contrl", "no profile 'contrl'"),
    ("claims --committed --profile ''", "no profile ''"),
    ("records --profile ''", "no profile ''"),
    ("records --keep --profile contrl", "no profile 'contrl'"),
    ("measure --profile folder", "no profile 'folder'"),
    ("rerun --profile LONG", "give the path of a .toml file"),
    ("train --profile LONG.toml", "File name too long"),
    ("records --profile '\udcff'", "no profile '\\udcff'"),
    ("records --profile '\udcff.toml'", "No such file"),
    ("records --profile folder.toml", "cannot be read (Is a directory)"),
    ("records --profile nowhere.toml", "nowhere.toml cannot be read (No such file or directory)"),
    ("records --profile text.toml", "text.toml is no TOML file"),
    ("records --profile bytes.toml", "bytes.toml is no TOML file"),
    ("records --profile empty.toml", "is missing"),
    ("records --profile setting.toml", "no setting 'epoch'"),
    ("records --profile type.toml", "seeds = 'one' will not do"),
    ("records --profile base.toml", "no profile to extend 'contrl'"),
    ("records --profile 'a name.toml'", "must be of letters, digits, dots, dashes, underscores"),
    # what a profile says
    ("records --profile epochs.toml", "at least 1 epoch and batches of 2, and"),
    ("records --profile batch.toml", "at least 1 epoch and batches of 2, and"),
    ("records --profile rate.toml", "a learning rate above 0"),
    ("records --profile nan.toml", "learning rate above 0"),
    ("records --profile inf.toml", "learning rate above 0"),
    ("records --profile momentum.toml", "momentum and label smoothing in [0, 1)"),
    ("records --profile smoothing.toml", "momentum and label smoothing in [0, 1)"),
    ("records --profile decay.toml", "no negative weight decay"),
    ("records --profile crop.toml", "smallest_crop of an augmentation is 1e-06 to 1; got 2"),
    ("records --profile turn.toml", "rotation of an augmentation is 0 to 180; got -9"),
    ("records --profile flip.toml", "recipe.augmentation.flip = 'yes' will not do"),
    ("records --profile schedule.toml", "no schedule 'stps'. Did you mean 'steps'?"),
    ("records --profile set.toml", "no training set 'mixed'"),
    ("records --profile fraction.toml", "a fraction in (0, 1]"),
    ("records --profile norm.toml", "no norm 'l3'"),
    ("records --profile radius.toml", "a radius above 0"),
    ("records --profile seeds.toml", "at least 1 seed"),
    ("records --profile draws.toml", "got draws = 0"),
    ("records --profile folds.toml", "at least 2 folds"),
    ("records --profile shares.toml", "Shares of a split are from 0 to 1"),
    ("records --profile both.toml", "set test = 0"),
    ("records --profile table.toml", "recipe = 3 will not do"),
    ("records --profile twice.toml", "twice.toml is no TOML file"),
    ("records --profile real.toml", "real = 1 will not do"),
    ("train --profile source.toml", "no source 'synthetc'. Did you mean 'synthetic'?"),
    ("records --profile ours.toml", "is that of a profile of the project; choose another"),
    ("records --profile path.toml", "'../x' must be of letters"),
    ("records --profile hidden.toml", "'.x' must be of letters"),
    ("records --profile named.toml", "must be of letters"),
    ("records --profile loop.toml", "no profile to extend '3'"),
    ("records --profile huge.toml", "once to 1,000 times; got draws = 999"),
    ("records --profile pipe.toml", "pipe.toml cannot be read"),
    ("records --profile '~nobody/x.toml'", "cannot be read"),
    # records that are damaged
    ("IN9_HOME=bad records --profile smoke", "evaluation_x_0.json is damaged"),
    # archives and images of the real world
    ("build tiny-imagenet out --archive encrypted.zip", "is encrypted; unpack the archive and give the folder"),
    ("build tiny-imagenet out --archive deflate64.zip", "packed in a way that Python cannot unpack"),
    ("build tiny-imagenet out --archive pipe.toml", "is neither a zip archive nor a folder"),
    ("build imagenet out --archive pipe.toml", "is neither a zip archive nor a folder"),
    ("build tiny-imagenet out --archive cut.zip", "is not a whole zip archive"),
    ("build tiny-imagenet out --archive odd_names", "is not UTF-8; rename the file"),
    ("build tiny-imagenet out --archive '\udcff'", "no archive or folder"),
    ("build imagenet out --archive folder --set boxes=LONG", "File name too long"),
    ("build imagenet out --archive folder --set image_size=8", "image_size=8"),
    ("build imagenet out --archive folder --set image_size=64.5", "image_size=64.5"),
    ("build imagenet out --archive folder --set validation=nan", "validation"),
    ("build synthetic out --set per_class=1e9", "per_class=1000000000.0"),
    ("build synthetic out --set rho=None", "rho=None"),
    ("build synthetic out --set rho=True", "rho=True"),
    ("build synthetic out --set image_size=-32", "image_size=-32"),
    ("build synthetic out --set per_class=[1]", "per_class=[1]"),
    ("build synthetic '' --set per_class=12", "exists and is not a dataset"),
    ("build synthetic out --from pipe.toml", "pipe.toml cannot be read"),
    ("build synthetic out --from deep.gz", "deep.gz is damaged"),
    # datasets that were changed
    ("export zeroed out", "images.npy was changed after the build; build the dataset again"),
    ("export swapped out", "examples.csv was changed after the build"),
    ("export objects out", "images.npy cannot be read"),
    ("export deep out", "manifest.json is damaged (too many levels)"),
    ("export typed out", "manifest.json is damaged (image_size"),
    ("export outside out", "manifest.json is damaged (files are not those of a dataset)"),
    ("evaluate models:network --device cpu --data zeroed", "images.npy was changed after the build"),
    ("evaluate models:network --device cpu --data typed", "manifest.json is damaged (image_size"),
    ("challenge models:network --device cpu --data zeroed", "images.npy was changed after the build"),
    ("build synthetic typed", "manifest.json is damaged (image_size"),
    # maps, weights and names
    (f"{NETWORK} --map deep.json", "deep.json cannot be read as JSON (too many levels"),
    (f"{NETWORK} --map nan.json", "nan.json cannot be read as JSON (NaN is no number"),
    (f"{NETWORK} --map pipe.toml", "pipe.toml cannot be read as JSON (not a file"),
    (f"{NETWORK} --weights pipe.toml", "no file of weights pipe.toml"),
    (f"{NETWORK} --name '\u202e'", "--name must be"),
    ("evaluate os:abort --data nowhere", "There is no folder nowhere"),
    ("evaluate os:getcwd --device cpu --data dataset", "os:getcwd"),
    ("evaluate pathlib:Path --device cpu --data dataset", "pathlib:Path"),
    ("challenge models:nan --data dataset --device cpu", "answers with NaN"),
    ("challenge models:seven --data dataset --device cpu", "has 7 outputs"),
    ("challenge models:network --data nowhere", "There is no folder nowhere"),
    ("challenge models:network --data dataset --split tset --device cpu", "no split 'tset'"),
    # chapters
    ("book --only ''", "no chapter ''"),
    ("book --only 99", "no chapter '99'"),
    ("book --only LONG", "no chapter"),
    ("book --only '\udcff'", "no chapter '\\udcff'"),
    ("book --only 1 --only secnd", "no chapter 'secnd'. Did you mean '02_second'?"),
    ("book --set profile=tiny", "--set cannot change 'profile'; give the option --profile instead"),
    ("book --set measure=True", "give the option --measure"),
    ("book --set recorded=True", "no parameter 'recorded'"),
    ("book --set slpe=1", "no parameter 'slpe'. Did you mean 'slope'?"),
    ("book --only 2 --set slope=1", "no parameter 'slope'"),
    ("book --set slope=steep", "must be float"),
    ("book --set slope", "'slope' is not of the form name=value"),
    ("book --set =1", "'=1' is not of the form name=value"),
    ("book --set 'slope={[]: 1}'", "must be float"),
    ("book --engine bogus", "bogus"),
    ("IN9_ENGINE=bogus measure", "bogus"),
    ("book --recorded", "No such option: --recorded"),
    ("book --profile control", "images of profile 'control' are synthetic"),
    ("book --profile light", "no records of profile 'light' yet; with --measure they are made here"),
    # trainings and measurements
    ("train --on ''", "no training set ''"),
    ("train --on original+original", "names a variant twice"),
    ("train --on original+", "no training set ''"),
    ("train --on mixed_ran", "no training set 'mixed_ran'. Did you mean 'mixed_rand'?"),
    ("train --on in9l+original", "no training set 'in9l'"),
    ("train --on LONG", "no training set"),
    ("train --on '\udcff'", "no training set '\\udcff'"),
    ("train --jobs 0", "Invalid value for '--jobs'"),
    ("train --jobs one", "Invalid value for '--jobs'"),
    ("train --engine bogus", "no engine 'bogus'"),
    ("measure --jobs -1", "Invalid value for '--jobs'"),
    ("measure --only ''", "no part ''"),
    ("measure --only matrx", "no part 'matrx'. Did you mean 'matrix'?"),
    ("measure --only LONG", "no part"),
    ("rerun --profile smoke", "no record of training on original with profile 'smoke'"),
    ("rerun --on ''", "no training set ''"),
    ("rerun --on original+original", "names a variant twice"),
    ("rerun --seed x", "Invalid value for '--seed'"),
    (f"rerun --seed {BIG}", "Invalid value for '--seed'"),
    ("records --keep --profile smoke", "`in9 measure --profile smoke` measures it"),
    ("records --keep --committed", "--committed"),
    ("IN9_HOME=no_runs measure --profile smoke", "runs cannot be written (Not a directory)"),
    ("IN9_HOME=no_runs train --profile smoke", "runs cannot be written (Not a directory)"),
    ("IN9_HOME=nowhere clean", "IN9_HOME is nowhere"),
    ("clean --profile contrl", "no profile 'contrl'"),
    ("clean --dry-run surplus", "unexpected extra argument"),
    # build
    ("build synthetc out", "no source 'synthetc'. Did you mean 'synthetic'?"),
    ("build '' out", "no source ''"),
    ("build released out", "in9 fetch released"),
    ("build synthetic file.txt", "file.txt exists and is not a dataset"),
    ("build synthetic folder", "folder exists and is not a dataset"),
    ("build synthetic file.txt/out", "out.partial cannot be written"),
    ("build synthetic LONG", "File name too long"),
    ("build synthetic dataset", "holds a dataset with other settings"),
    ("build synthetic out --workers 0", "Invalid value for '--workers'"),
    ("build synthetic out --seed x", "Invalid value for '--seed'"),
    (f"build synthetic out --seed {BIG}", "Invalid value for '--seed'"),
    ("build synthetic out --folds -1", "Invalid value for '--folds'"),
    ("build synthetic out --folds 1", "at least 2 folds, or 0 for none; got folds = 1"),
    ("build imagenet out --archive imagenet --set test_on=train --folds 5", "cannot be dealt into 5 folds"),
    ("build synthetic out --from nowhere.gz", "There is no file nowhere.gz; check the path"),
    ("build synthetic out --from folder", "folder cannot be read (Is a directory)"),
    ("build synthetic out --from LONG", "File name too long"),
    ("build synthetic out --from file.txt", "file.txt cannot be read (Not a gzipped file"),
    ("build synthetic out --from cut.gz", "cut.gz is damaged, or no published masks.json.gz"),
    ("build synthetic out --from list.gz", "list.gz is damaged, or no published masks.json.gz"),
    ("build synthetic out --from version.gz", "version.gz has version 9 of the format, this program reads 1"),
    ("build synthetic out --from masks.gz", "for source 'tiny-imagenet', and this is 'synthetic'"),
    ("build tiny-imagenet out --archive tiny.zip --from masks.gz", "masks.gz: these masks are of other images. Give"),
    ("build synthetic out --from masks.gz --grabcut", "takes those of masks.gz; give only one of them"),
    ("build synthetic out --from masks.gz --seed 0", "masks.gz brings its own seed and folds; leave out --seed, or"),
    ("build synthetic out --from masks.gz --folds 0 --seed 3", "leave out --seed and --folds, or leave out --from"),
    ("build synthetic out --set roh=1", "has no option 'roh'"),
    ("build synthetic out --set rho", "'rho' is not of the form name=value"),
    ("build synthetic out --set rho=much", "rho='much'; give a number from 0 to 1"),
    ("build synthetic out --set rho=1e999", "rho=inf; give a number from 0 to 1"),
    ("build synthetic out --set per_class=0", "per_class=0"),
    ("build synthetic out --set image_size=1000000", "image_size=1000000"),
    ("build synthetic out --set seed=x", "seed='x'"),
    ("build synthetic out --archive file.txt", "has no option 'archive'"),
    ("build tiny-imagenet out --archive nowhere.zip", "no archive or folder nowhere.zip"),
    ("build tiny-imagenet out --archive LONG", "File name too long"),
    ("build tiny-imagenet out --archive folder", "folder is not Tiny ImageNet-200"),
    ("build tiny-imagenet out --archive file.txt", "file.txt is not a whole zip archive"),
    ("build tiny-imagenet out --archive empty.zip", "is not Tiny ImageNet-200"),
    ("build tiny-imagenet out --set archive=3", "3 is no path of an archive"),
    ("build imagenet out", "needs archive"),
    ("build imagenet out --archive folder", "folder is not ImageNet"),
    ("build imagenet out --archive folder --set test_on=tset", "no part of ImageNet to test on 'tset'"),
    ("build imagenet out --archive folder --set balance=3", "balance=3"),
    ("build imagenet out --archive folder --set validation=1", "validation=1"),
    ("build imagenet out --archive folder --set boxes=5", "5 is no path of an archive"),
    ("build imagenet out --archive folder --set boxes=nowhere", "no archive or folder nowhere"),
    # export
    ("export nowhere out", "nowhere is not a dataset"),
    ("export file.txt out", "file.txt is not a dataset"),
    ("export LONG out", "File name too long"),
    ("export damaged out", "manifest.json is damaged"),
    ("export partial out", "manifest.json is damaged"),
    ("export short out", "images.npy is missing or cut short"),
    ("export dataset file.txt", "file.txt already exists"),
    ("export dataset folder", "folder already exists"),
    ("export dataset ''", "already exists"),
    ("export dataset file.txt/out", "cannot be written (Not a directory)"),
    ("export dataset LONG", "File name too long"),
    ("export dataset out --split tset", "no split 'tset'. Did you mean 'test'?"),
    ("export dataset out --split ''", "no split ''"),
    ("export no_validation out --split validation", "no accepted images in its validation split"),
    ("export dataset out --seed 1.5", "Invalid value for '--seed'"),
    (f"export dataset out --seed {BIG}", "Invalid value for '--seed'"),
    # fetch
    ("fetch release", "no dataset to fetch 'release'. Did you mean 'released'?"),
    ("fetch ''", "no dataset to fetch ''"),
    ("fetch released --to new --checksum sha256:12", "'sha256:12' is not a checksum"),
    ("fetch released --to new --checksum sha1:12", "write it as sha256:<digits> or md5:<digits>"),
    ("fetch released --to new --checksum ''", "'' is not a checksum"),
    ("fetch tiny-imagenet --to new --checksum ''", "'' is not a checksum"),
    ("fetch tiny-imagenet --to new --checksum md5:LONG", "is not a checksum"),
    ("fetch released --to new --url nonsense", "Invalid URL 'nonsense'"),
    ("fetch released --to new --url ''", "Invalid URL ''"),
    ("fetch released --to new --url file:///etc/hosts", "it is no https:// with a host"),
    ("fetch released --to new --url http://", "Invalid URL 'http://'"),
    ("fetch released --to new --url 'http://[::1'", "Invalid URL"),
    ("fetch tiny-imagenet --to new --url ftp://example.org/a.zip", "Invalid URL"),
    ("fetch tiny-imagenet --to new --url ''", "Invalid URL ''"),
    ("fetch tiny-imagenet --to folder --url http://127.0.0.1:9/a.zip", "no connection to the server"),
    ("fetch released --to folder", "folder is there already"),
    ("fetch released --to file.txt", "file.txt is there already"),
    ("fetch tiny-imagenet --to file.txt", "cannot be written"),
    ("fetch tiny-imagenet --to LONG", "File name too long"),
    ("fetch photographs --to folder --url http://127.0.0.1:9", "no connection to the server"),
    ("fetch photographs --to folder --url nonsense", "it is no https:// with a host"),
    ("fetch photographs --to file.txt --url http://127.0.0.1:9", "cannot be written"),
    ("fetch photographs --checksum sha256:12", "have a checksum each"),
    ("fetch photographs --archive nowhere.zip", "There is no archive or folder nowhere.zip"),
    ("fetch photographs --archive file.txt", "file.txt is not a whole zip archive"),
    ("fetch photographs --archive folder", "folder has no file"),
    ("fetch photographs --archive folder --url http://127.0.0.1:9", "two places to take the photographs from"),
    ("fetch released --archive folder", "--archive folder is for photographs alone"),
    # what is scored on
    ("evaluate models:network --data nowhere", "There is no folder nowhere"),
    ("evaluate models:network --data file.txt", "file.txt is no data to score on"),
    ("evaluate models:network --data folder", "folder is no data to score on"),
    ("evaluate models:network --data LONG", "File name too long"),
    ("evaluate models:network --data damaged", "manifest.json is damaged"),
    ("evaluate models:network --data no_validation --split validation", "no accepted images in its validation split"),
    (f"{NETWORK} --split tset", "no split 'tset'. Did you mean 'test'?"),
    (f"{NETWORK} --split ''", "no split ''"),
    (f"{NETWORK} --seed {BIG}", "Invalid value for '--seed'"),
    (f"{NETWORK} --batch-size 0", "Invalid value for '--batch-size'"),
    ("evaluate models:network --data dataset --device meta", "Device 'meta' cannot be used"),
    ("evaluate models:network --data dataset --device ''", "Device '' cannot be used"),
    ("evaluate models:network --data dataset --device gpu", "Device 'gpu' cannot be used"),
    ("evaluate models:network --data dataset --device cuda:77", "try --device cpu"),
    ("evaluate models:network --data dataset --device cuda:-1", "Device 'cuda:-1' cannot be used"),
    ("rerun --device '\udcff'", "The project has no record"),
    # what is scored
    ("evaluate '' --device cpu --data dataset", "no model ''"),
    ("evaluate : --device cpu --data dataset", "cannot be imported"),
    ("evaluate :network --device cpu --data dataset", "cannot be imported"),
    ("evaluate models: --device cpu --data dataset", "no function in models ''"),
    ("evaluate modls:network --device cpu --data dataset", "modls cannot be imported"),
    ("evaluate broken:network --device cpu --data dataset", "broken cannot be imported"),
    ("evaluate leaves:network --device cpu --data dataset", "leaves cannot be imported (it calls exit)"),
    ("evaluate models:netwrk --device cpu --data dataset", "Did you mean 'network'?"),
    ("evaluate models:NUMBER --device cpu --data dataset", "is no classifier but a int"),
    ("evaluate sys:exit --device cpu --data dataset", "sys:exit failed (it calls exit)"),
    ("evaluate models:leaves --device cpu --data dataset", "models:leaves failed (it calls exit)"),
    ("evaluate models:base --device cpu --data dataset", "models:base failed (no more)"),
    ("evaluate models:fails --device cpu --data dataset", "models:fails failed (no luck)"),
    ("evaluate models:leaves_later --device cpu --data dataset", "pixels (it calls exit)"),
    ("evaluate models:fails_later --device cpu --data dataset", "pixels (no luck)"),
    ("evaluate models:leaves_last --device cpu --data dataset", "fails on images of original (it calls exit)"),
    ("evaluate models:seven --device cpu --data dataset", "has 7 outputs"),
    ("evaluate models:none --device cpu --data dataset", "models:none must give one row of outputs"),
    ("evaluate models:nan --device cpu --data dataset", "answers with NaN"),
    ("evaluate resnet18 --device cpu --data dataset", "does not say which weights"),
    ("evaluate resnet18:BOGUS --device cpu --data dataset", "no resnet18 with weights 'BOGUS'"),
    ("evaluate resnt18 --device cpu --data dataset", "Did you mean 'resnet18'?"),
    ("evaluate timm/resnt18 --device cpu --data dataset", "Did you mean 'resnet18'?"),
    ("evaluate resnet18.bogus --device cpu --data dataset", "no resnet18 with tag 'bogus'"),
    ("evaluate small_resnet_w24 --device cpu --data dataset", "has no published weights"),
    ("evaluate small_resnet_w24 --device cpu --data dataset --set pretrained=True", "option pretrained"),
    ("evaluate resnet18:IMAGENET1K_V1 --device cpu --data dataset --set weights=x", "option weights"),
    ("evaluate timm/resnet18.a1_in1k --device cpu --data dataset --set checkpoint_path=x", "option checkpoint_path"),
    ("evaluate LONG --device cpu --data dataset", "no model"),
    ("evaluate '\udcff' --device cpu --data dataset", "no model '\\udcff'"),
    (f"{NETWORK} --set x=1", "models:network cannot be called with the options x"),
    (f"{NETWORK} --set mean", "'mean' is not of the form name=value"),
    (f"{NETWORK} --set mean=2", "mean=2 must be one number, or three, from 0 to 1"),
    (f"{NETWORK} --set mean=1e999", "mean=inf must be one number"),
    (f"{NETWORK} --set std=0", "std=0 must not hold 0"),
    (f"{NETWORK} --set resize=0", "resize=0 must be a number of pixels"),
    (f"{NETWORK} --set crop=8", "the option crop has no use"),
    (f"{NETWORK} --preprocessing ownn", "no preprocessing 'ownn'. Did you mean 'own'?"),
    (f"{NETWORK} --preprocessing own --set interpolation=x", "no interpolation 'x'"),
    (f"{NETWORK} --preprocessing own --set crop=99", "crop=99 is more than the 32 pixels"),
    # files of weights and maps
    (f"{NETWORK} --weights nowhere.pt", "no file of weights nowhere.pt"),
    (f"{NETWORK} --weights folder", "no file of weights folder"),
    (f"{NETWORK} --weights LONG", "File name too long"),
    (f"{NETWORK} --weights ''", "no file of weights ."),
    (f"{NETWORK} --weights file.txt", "file.txt cannot be read"),
    (f"{NETWORK} --weights empty.pt", "empty.pt cannot be read"),
    (f"{NETWORK} --weights script.pt", "script.pt cannot be read: it is no checkpoint"),
    (f"{NETWORK} --weights code.pt", "which could run code"),
    (f"{NETWORK} --weights number.pt", "holds no weights but a int"),
    (f"{NETWORK} --weights other.pt", "other.pt do not fit models:network"),
    (f"{NETWORK} --weights text.safetensors", "text.safetensors cannot be read"),
    ("evaluate resnet18 --weights folder --device cpu --data dataset", "no file of weights folder"),
    ("evaluate models:seven --weights other.pt --device cpu --data dataset", "cannot take --weights other.pt"),
    (f"{NETWORK} --map nowhere.json", "The map nowhere.json cannot be read as JSON (No such file"),
    (f"{NETWORK} --map folder", "The map folder cannot be read as JSON (Is a directory"),
    (f"{NETWORK} --map LONG", "cannot be read as JSON (File name too long"),
    (f"{NETWORK} --map file.txt", "The map file.txt cannot be read as JSON"),
    (f"{NETWORK} --map list.json", "not a list of 2"),
    (f"{NETWORK} --map outside.json", "it must be from 0 to 8"),
    # what is written
    (f"{NETWORK} --name LONG", "--name must be of 1 to 100 characters that can be printed"),
    (f"{NETWORK} --name ''", "--name must be of 1 to 100 characters"),
    (f"{NETWORK} --name '\udcff'", "not '\\udcff'"),
    (f"{NETWORK} --name 'a\nb'", "not 'a\\nb'"),
    (f"{NETWORK} --top1 -5", "--top1 must be an accuracy from 0 to 100 (%), not -5"),
    (f"{NETWORK} --top1 nan", "not nan"),
    (f"{NETWORK} --top1 inf", "not inf"),
    (f"{NETWORK} --top1 101", "not 101"),
    (f"{NETWORK} --top1 many", "Invalid value for '--top1'"),
    (f"{NETWORK} --json folder", "folder cannot be written: give a file name in a folder that exists"),
    (f"{NETWORK} --json ''", "cannot be written: give a file name"),
    (f"{NETWORK} --json nowhere/a.json", "nowhere/a.json cannot be written: give a file name in a folder that exists"),
    (f"{NETWORK} --json file.txt/a.json", "file.txt/a.json cannot be written"),
    (f"{NETWORK} --json LONG", "cannot be written (File name too long)"),
    (f"{NETWORK} --csv folder", "folder cannot be written"),
    (f"{NETWORK} --csv nowhere/a.csv", "nowhere/a.csv cannot be written"),
    (f"{NETWORK} --csv a.txt --json ./a.txt", "a.txt is given twice"),
    (f"{NETWORK} --json list.json --map list.json", "list.json is given twice"),
    (f"{NETWORK} --figure folder", "has no ending of a figure"),
    (f"{NETWORK} --figure a", "a has no ending of a figure: use .svg, .png or .pdf"),
    (f"{NETWORK} --figure a.xyz", "use .svg, .png or .pdf"),
    (f"{NETWORK} --figure nowhere/a.svg", "nowhere/a.svg cannot be written"),
    (f"IN9_HOME=no_runs {NETWORK}", "cannot be written (Not a directory)"),
    # challenge, which has its own options
    ("challenge models:network --data dataset --device cpu --rule x", "no rule 'x'"),
    ("challenge models:network --data dataset --device cpu --per-class 0", "Invalid value for '--per-class'"),
    ("challenge models:network --data dataset --device cpu --top1 -1", "--top1 must be"),
    ("challenge models:network --data dataset --device cpu --name ''", "--name must be"),
    ("challenge models:network --data dataset --device cpu --json folder", "folder cannot be written"),
    ("challenge models:network --data dataset --device meta", "Device 'meta' cannot be used"),
    ("challenge sys:exit --data dataset --device cpu", "sys:exit failed (it calls exit)"),
    ("challenge models:leaves_last --data dataset --device cpu", "fails on images of original (it calls exit)"),
    ("IN9_HOME=no_runs challenge models:network --data dataset --device cpu", "cannot be written (Not a directory)"),
]  # fmt: skip

PROFILES = {
    "epochs.toml": 'extends = "smoke"\n[recipe]\nepochs = 0',
    "batch.toml": 'extends = "smoke"\n[recipe]\nbatch_size = 1',
    "rate.toml": 'extends = "smoke"\n[recipe]\nlearning_rate = 0.0',
    "nan.toml": 'extends = "smoke"\n[recipe]\nlearning_rate = nan',
    "inf.toml": 'extends = "smoke"\n[recipe]\nlearning_rate = inf',
    "momentum.toml": 'extends = "smoke"\n[recipe]\nmomentum = 1.0',
    "smoothing.toml": 'extends = "smoke"\n[recipe]\nlabel_smoothing = -0.1',
    "decay.toml": 'extends = "smoke"\n[recipe]\nweight_decay = -1.0',
    "crop.toml": 'extends = "smoke"\n[recipe.augmentation]\nsmallest_crop = 2.0',
    "turn.toml": 'extends = "smoke"\n[recipe.augmentation]\nrotation = -9.0',
    "flip.toml": 'extends = "smoke"\n[recipe.augmentation]\nflip = "yes"',
    "schedule.toml": 'extends = "smoke"\n[recipe]\nschedule = "stps"',
    "set.toml": 'extends = "smoke"\n[recipe]\ntrain_on = "mixed"',
    "fraction.toml": 'extends = "smoke"\n[recipe]\nfraction = 1.5',
    "norm.toml": 'extends = "smoke"\n[recipe.perturbation]\nnorm = "l3"\nradius = 1.0',
    "radius.toml": 'extends = "smoke"\n[recipe.perturbation]\nnorm = "l2"\nradius = -1.0',
    "seeds.toml": 'extends = "smoke"\nseeds = []',
    "draws.toml": 'extends = "smoke"\ndraws = 0',
    "folds.toml": 'extends = "smoke"\n[split]\ntest = 0.0\nfolds = 1',
    "shares.toml": 'extends = "smoke"\n[split]\ntest = 1.5\nvalidation = 0.0',
    "both.toml": 'extends = "smoke"\n[split]\ntest = 0.2\nfolds = 2',
    "table.toml": 'extends = "smoke"\nrecipe = 3',
    "twice.toml": 'extends = "smoke"\ndraws = 1\ndraws = 2',
    "real.toml": 'extends = "smoke"\nreal = 1',
    "source.toml": 'extends = "smoke"\nname = "other"\nsource = "synthetc"',
    "ours.toml": 'extends = "smoke"\nname = "tiny"',
    "path.toml": 'extends = "smoke"\nname = "../x"',
    "hidden.toml": 'extends = "smoke"\nname = ".x"',
    "named.toml": 'extends = "smoke"\nname = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"',
    "loop.toml": "extends = 3",
    "huge.toml": 'extends = "smoke"\ndraws = 999999999999999999999999999999',
}

MODELS = """
import torch

NUMBER = 5

def network():
    return torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(48, 9))

def leaves():
    raise SystemExit

class More(BaseException):
    pass

def base():
    raise More("no more")

def fails():
    raise ValueError("no luck")

def leaves_later(images):
    raise SystemExit(0)

def fails_later(images):
    raise ValueError("no luck")

def leaves_last(images):
    if len(images) > 2:
        raise SystemExit(0)
    return torch.zeros(len(images), 9)

def seven(images):
    return torch.zeros(len(images), 7)

def none(images):
    return None

def nan(images):
    return torch.full((len(images), 9), torch.nan)
"""


class Code:
    """What a checkpoint may not hold."""

    def __reduce__(self) -> tuple:
        return os.system, ("true",)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A folder with whatever is no good."""
    import torch

    stage = tmp_path_factory.mktemp("stage")
    for name in ("folder", "folder.toml", "no_runs", "damaged", "partial", "bad/runs/records/smoke"):
        (stage / name).mkdir(parents=True)
    texts = {
        "file.txt": "text", "folder/file": "", "no_runs/runs": "a file", "models.py": MODELS, "broken.py": "1 +",
        "leaves.py": "raise SystemExit", "empty.pt": "", "text.safetensors": "text", "list.json": "[1, 2]",
        "outside.json": '{"0": 9}', "deep.json": "[" * 10**5,
        "nan.json": "NaN", "bad/runs/records/smoke/evaluation_x_0.json": '{"format": 2, "key',
        "text.toml": "no toml", "empty.toml": "", "base.toml": 'extends = "contrl"',
        "setting.toml": 'extends = "smoke"\nepoch = 1', "type.toml": 'extends = "smoke"\nseeds = "one"',
        "a name.toml": 'extends = "smoke"', "damaged/manifest.json": "{", "partial/manifest.json": '{"format": 1}',
    }  # fmt: skip
    for name, text in texts.items():
        (stage / name).write_text(text)
    for name, text in PROFILES.items():
        (stage / name).write_text(text)
    (stage / "bytes.toml").write_bytes(b"\xff")
    os.mkfifo(stage / "pipe.toml")
    shutil.make_archive(str(stage / "empty"), "zip", stage / "folder")
    write_tiny(tiny_files(), stage / "tiny.zip")
    whole = (stage / "tiny.zip").read_bytes()
    (stage / "cut.zip").write_bytes(whole[:-99])
    for name, place, value in (("encrypted", 8, b"\1\0"), ("deflate64", 10, b"\x09\0")):
        entry = whole.index(b"PK\1\2") + place
        (stage / f"{name}.zip").write_bytes(whole[:entry] + value + whole[entry + 2 :])
    (stage / "odd_names").mkdir()
    (stage / "odd_names" / os.fsdecode(b"\xff")).write_text("")
    masks = (Path(__file__).parents[1] / "records" / "tiny" / MASKS_FILE).read_bytes()
    archives = {"masks": masks, "cut": masks[:-99], "list": gzip.compress(b"[]"), "deep": gzip.compress(b"[" * 10**5)}
    for name, packed in (archives | {"version": gzip.compress(b'{"format": 9}')}).items():
        (stage / f"{name}.gz").write_bytes(packed)
    for wnid in imagenet_names():
        for name in (f"train/{wnid}/a.JPEG", f"Annotations/train/{wnid}/a.xml"):
            (stage / "imagenet" / name).parent.mkdir(parents=True)
            (stage / "imagenet" / name).write_text("")
    for name in ("dataset", "no_validation", "short"):
        shutil.copytree(dataset.path, stage / name)
    (stage / "short" / "images.npy").write_bytes(b"")
    table, manifest = stage / "no_validation" / "examples.csv", stage / "no_validation" / "manifest.json"
    table.write_text(table.read_text().replace(",validation,", ",train,"))
    content = json.loads(manifest.read_text())
    content["files"]["examples.csv"] = {"bytes": table.stat().st_size, "sha256": hash_of_file(table)}
    manifest.write_text(json.dumps(content))
    for name in ("zeroed", "swapped", "objects", "deep", "typed", "outside"):
        shutil.copytree(dataset.path, stage / name)
    with (stage / "zeroed" / "images.npy").open("r+b") as images:
        images.seek(4096)
        images.write(bytes(4096))
    table = stage / "swapped" / "examples.csv"
    table.write_text(table.read_text().replace("True", "Eurt"))
    np.save(stage / "objects" / "images.npy", np.array([None] * 9), allow_pickle=True)
    (stage / "deep" / "manifest.json").write_text("[" * 10**5)
    images = stage / "objects" / "images.npy"
    facts = {"bytes": images.stat().st_size, "sha256": hash_of_file(images)}
    for name, change in (
        ("objects", {"files": {**dataset.manifest["files"], "images.npy": facts}}),
        ("typed", {"image_size": "32"}),
        ("outside", {"files": {**dataset.manifest["files"], "../x": facts}}),
    ):
        (stage / name / "manifest.json").write_text(json.dumps(dataset.manifest | change))
    torch.save(5, stage / "number.pt")
    torch.save({"weight": torch.zeros(3)}, stage / "other.pt")
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), stage / "script.pt")
    (stage / "code.pt").write_bytes(pickle.dumps(Code(), protocol=2))
    return stage


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of its own, which has a record of one profile."""
    project = tmp_path_factory.mktemp("home")
    make_project(project)
    record = project / "records" / "tiny" / "evaluation_made_up_0.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text("{}")
    return project


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_a_bad_input_is_one_sentence(
    line: str, expected: str, run, stage: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage)
    monkeypatch.setenv("IN9_HOME", str(home))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    words = shlex.split(line.replace("LONG", 300 * "x"))
    while words[0].startswith("IN9_"):
        monkeypatch.setenv(*words.pop(0).split("="))
    before = {path for folder in (stage, home) for path in folder.rglob("*")}
    status, out, err = run(*words)
    assert status == 2, (out, err)
    *others, sentence = err.splitlines()
    assert expected in sentence and "Traceback" not in err and out == ""
    if sentence.startswith("in9: "):
        assert sentence.endswith(".") and not any(word in sentence for word in ("weights_only", "Errno"))
        assert all("%|" in other for other in others if other), "only a bar may come before"
    else:
        assert sentence.startswith("Error: ") and all(other.startswith("Usage: ") for other in others[:1])
    assert {path for folder in (stage, home) for path in folder.rglob("*")} == before


# --- what cannot be known beforehand ------------------------------------------------------------------------------


@pytest.fixture
def scoring(run, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Score a classifier, in an empty folder, with folders in which no record can be written."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "models.py").write_text(MODELS)
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delitem(sys.modules, "models", raising=False)
    write = Store.write

    def score(command: str, *closed: Path, options: str = "") -> tuple[int, str, str]:
        def write_or_not(store: Store, record: Record) -> Path:
            if store.folder in closed:
                raise PermissionError(errno.EACCES, "Permission denied")
            return write(store, record)

        monkeypatch.setattr(Store, "write", write_or_not)
        return run(*f"{command} models:network --device cpu --data {dataset.path} {options}".split())

    return score


@pytest.mark.parametrize("command", ["evaluate", "challenge"])
def test_a_record_that_cannot_be_written_goes_elsewhere(command: str, scoring, tmp_path: Path) -> None:
    scores, here = tmp_path / "home" / "runs" / "records" / "scores", tmp_path / "here"
    status, out, err = scoring(command, scores, options="--json a.json")
    (kept,) = here.glob("*models_network*.json")
    assert status == 2 and "models:network: 9 outputs" in out
    assert err.splitlines()[-1].endswith(f"cannot be written (Permission denied); it is now {kept}.")
    assert read(kept).results == json.loads((here / "a.json").read_text())["results"]
    status, out, err = scoring(command, scores, here)
    (kept,) = tmp_path.glob("in9-*/*models_network*.json")
    assert status == 2 and "models:network: 9 outputs" in out and f"it is now {kept}." in err
    status, out, err = scoring(command, scores, here, kept.parent)  # the next temporary folder is another one
    assert status == 2 and len(list(tmp_path.glob("in9-*/*models_network*.json"))) == 2


def test_what_else_cannot_be_written_goes_elsewhere_too(scoring, tmp_path: Path, monkeypatch) -> None:
    def full(path: Path, content: object) -> None:
        if path.name == "a.csv":
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_text("written")

    monkeypatch.setattr("in9.scoring.report.write", full)
    status, out, err = scoring("evaluate", options="--csv a.csv --json a.json --figure a.svg")
    assert status == 2 and "models:network: 9 outputs" in out
    assert "a.csv cannot be written (No space left on device); it could not be put elsewhere either" in err
    assert (tmp_path / "here" / "a.json").is_file() and (tmp_path / "here" / "a.svg").is_file()
    assert len(Store(tmp_path / "home" / "runs" / "records" / "scores").all("score")) == 1


@pytest.mark.parametrize("command", ["evaluate", "challenge"])
def test_a_folder_that_is_not_writable_is_told_before_the_computing(command: str, scoring, monkeypatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("in9.scoring.report.tempfile.NamedTemporaryFile", refuse)
    monkeypatch.setattr("in9.scoring.load.load_model", lambda *arguments, **options: pytest.fail("too late"))
    status, out, err = scoring(command)
    assert status == 2 and out == "" and "cannot be written (Permission denied)" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("function", "words", "then"),
    [
        ("in9.data.export.export", "export dataset out", "starts anew"),
        ("in9.cli.score_commands._scored", NETWORK, "starts anew"),
        ("in9.data.build.build", "build synthetic out", "goes on from here"),
    ],
)
def test_ctrl_c_says_what_the_same_command_does(
    function: str, words: str, then: str, run, stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(stage)
    monkeypatch.setattr(function, interrupted)
    assert run(*words.split()) == (130, "", f"in9: stopped; the same command {then}.\n")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 8 GiB"),
    ],
)
def test_without_memory_one_sentence_is_said(
    error: Exception, run, stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.chdir(stage)
    monkeypatch.setattr("in9.data.build.build", fail)
    status, out, err = run(*["build", "synthetic", "out"])
    assert (status, out) == (2, "") and err.startswith("in9: Memory ran out") and err.count("\n") == 1


def test_a_checkpoint_with_code_is_refused_without_torchs_advice(stage: Path, dataset: Dataset) -> None:
    from in9.training.loop import train

    recipe = Recipe(architecture="small_resnet_w8_b1", epochs=1, batch_size=12)
    with pytest.raises(In9Error, match=r"code\.pt cannot be read \(it is damaged\); remove it to train anew"):
        train(recipe, load_pool(dataset, "train"), stage / "code.pt")
